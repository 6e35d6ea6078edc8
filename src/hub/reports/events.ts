/** What the room of reports tells: log records and counters together. */

import type { Log } from "#base/log";
import type { Registry } from "#base/measures";

export interface ReportEvents {
  /** The mail itself is not touched by it. */
  failed(doing: string, error: unknown): void;
  /** The file could not be read and was put aside; a new one begins empty. */
  bookPutAside(path: string, error: unknown): void;
  /** Seen, but not counted in a report any more: there were too many sources. */
  leftOut(messages: number): void;
  sent(kind: "aggregate" | "failure" | "tls", domain: string, messages: number): void;
  notSent(domain: string, why: string): void;
  received(kind: "aggregate" | "failure" | "tls", verified: boolean): void;
  unread(why: string): void;
}

export function reportEvents(log: Log, registry: Registry): ReportEvents {
  const sent = registry.counter("dmarc_reports_sent", "DMARC and TLS reports sent, by kind");
  const received = registry.counter(
    "dmarc_reports_received",
    "DMARC and TLS reports of others, by kind and whether DMARC verified who sent them",
  );
  const unread = registry.counter(
    "dmarc_reports_unread",
    "Mail to the address for reports that had none in it, by reason",
  );
  const leftOut = registry.counter(
    "dmarc_evidence_left_out",
    "Messages or sessions that no report counts by source: too many sources",
  );
  const textOf = (error: unknown): string =>
    error instanceof Error ? error.message : String(error);
  return {
    failed: (doing, error) => log.write("error", "reports.failed", { doing, why: textOf(error) }),
    bookPutAside: (path, error) =>
      log.write("error", "reports.book-put-aside", { path, why: textOf(error) }),
    leftOut: (messages) => leftOut.add({}, messages),
    sent(kind, domain, messages) {
      sent.add({ kind });
      log.write("info", "reports.sent", { kind, domain, messages });
    },
    notSent: (domain, why) => log.write("info", "reports.not-sent", { domain, why }),
    received: (kind, verified) => received.add({ kind, verified: String(verified) }),
    unread: (why) => unread.add({ why }),
  };
}
