/** What the keyring has to tell. Never a key, never what was signed. */

import type { Log } from "#base/log";

export interface KeyringEvents {
  serving(keys: number): void;
  keyMade(domain: string, selector: string): void;
  clientRefused(why: string): void;
  requestFailed(what: string, error: unknown): void;
}

export function keyringEvents(log: Log): KeyringEvents {
  return {
    serving: (keys) => log.write("info", "keyring.serving", { keys }),
    keyMade: (domain, selector) => log.write("info", "keyring.key-made", { domain, selector }),
    clientRefused: (why) => log.write("warn", "keyring.client-refused", { why }),
    requestFailed: (what, error) =>
      log.write("error", "keyring.request-failed", { what, error: String(error) }),
  };
}
