/** What the room of TLS policies tells: log records and counters together. */

import type { Log } from "#base/log";
import type { Registry } from "#base/measures";

export interface TlsPolicyEvents {
  fetched(domain: string, outcome: string, why?: string): void;
  /** Known policies begin anew: what only the file knew has no protection until found again. */
  putAside(path: string, error: unknown): void;
  notSaved(error: unknown): void;
  refused(domain: string, host: string, why: string): void;
}

export function tlsPolicyEvents(log: Log, registry: Registry): TlsPolicyEvents {
  const fetches = registry.counter("mta_sts_fetches", "MTA-STS policies asked for, by outcome");
  const refusals = registry.counter(
    "tls_policy_refusals",
    "Servers that were not used because of DANE, MTA-STS or REQUIRETLS",
  );
  const textOf = (error: unknown): string =>
    error instanceof Error ? error.message : String(error);
  return {
    fetched(domain, outcome, why) {
      fetches.add({ outcome });
      log.write(why === undefined ? "info" : "warn", "mta-sts.fetched", {
        domain,
        outcome,
        ...(why !== undefined && { why }),
      });
    },
    putAside: (path, error) =>
      log.write("error", "mta-sts.put-aside", { path, why: textOf(error) }),
    notSaved: (error) => log.write("error", "mta-sts.not-saved", { why: textOf(error) }),
    refused(domain, host, why) {
      refusals.add({});
      log.write("warn", "tls-policy.refused", { domain, host, why });
    },
  };
}
