/** What the keyring has to tell. Never a key, never what was signed. */

import type { Log } from "#base/log";

export interface KeyringEvents {
  serving(facts: { readonly keys: number; readonly master: string; readonly log: string }): void;
  keyMade(domain: string, selector: string): void;
  keysChanged(domain: string, selectors: readonly string[], state: "active" | "retired"): void;
  masterMade(master: string, source: string): void;
  masterRetired(master: string): void;
  logRenewed(old: string, log: string): void;
  clientRefused(why: string): void;
  requestDenied(what: string, why: string): void;
  requestFailed(what: string, error: unknown): void;
}

export function keyringEvents(log: Log): KeyringEvents {
  return {
    serving: (facts) => log.write("info", "keyring.serving", facts),
    keyMade: (domain, selector) => log.write("info", "keyring.key-made", { domain, selector }),
    keysChanged: (domain, selectors, state) =>
      log.write("info", "keyring.keys-changed", { domain, selectors: selectors.join(" "), state }),
    masterMade: (master, source) => log.write("info", "keyring.master-made", { master, source }),
    masterRetired: (master) => log.write("warn", "keyring.master-retired", { master }),
    logRenewed: (old, next) => log.write("warn", "keyring.log-renewed", { old, log: next }),
    clientRefused: (why) => log.write("warn", "keyring.client-refused", { why }),
    requestDenied: (what, why) => log.write("warn", "keyring.request-denied", { what, why }),
    requestFailed: (what, error) =>
      log.write("error", "keyring.request-failed", { what, error: String(error) }),
  };
}
