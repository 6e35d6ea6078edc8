/** What happens to mail that leaves, counted and logged; no addresses, only ids and domains. */

import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { MessageId } from "#model/mailbox";
import type { Attempt, QueueItem, QueueState } from "#model/queue";

export interface QueueEvents {
  attempted(item: QueueItem, domain: string, attempt: Attempt): void;
  notified(item: QueueItem, kind: string): void;
  /** A notice that nobody takes: it ends here. */
  doubleBounced(item: QueueItem, attempt: Attempt): void;
  /** The process died several times with this message under way. */
  setAside(message: MessageId, crashes: number, items: number): void;
  troubled(what: string, error: unknown, item?: QueueItem): void;
  counted(counts: Readonly<Record<QueueState, number>>): void;
}

export function queueEvents(log: Log, registry: Registry): QueueEvents {
  const attempts = registry.counter("queue_attempts", "Attempts to hand on, by outcome");
  const notices = registry.counter("queue_notices", "Notices to senders, by kind");
  const doubles = registry.counter("queue_double_bounces", "Notices that could not be delivered");
  const setAsides = registry.counter("queue_set_aside", "Messages held after repeated crashes");
  const items = registry.gauge("queue_items", "Items in the queue that are not finished, by state");
  return {
    attempted(item, domain, { outcome, remote, reply, durationMs }) {
      attempts.add({ outcome });
      const { code, status } = reply;
      const level = outcome === "delivered" ? "info" : "warn";
      const fields = { id: item.message, item: item.id, domain, outcome, remote, code, durationMs };
      log.write(level, "queue.attempted", { ...fields, ...(status && { status }) });
    },
    notified(item, kind) {
      notices.add({ kind });
      log.write("info", "queue.notified", { id: item.message, item: item.id, kind });
    },
    doubleBounced(item, { reply, remote }) {
      doubles.add();
      const fields = { id: item.message, item: item.id, remote, code: reply.code };
      log.write("warn", "queue.double-bounce", fields);
    },
    setAside(id, crashes, held) {
      setAsides.add();
      log.write("error", "queue.set-aside", { id, crashes, items: held });
    },
    troubled(what, error, item) {
      const fields = { what, error: error instanceof Error ? error.message : String(error) };
      log.write("error", "queue.trouble", { ...fields, ...(item && { item: item.id }) });
    },
    counted(counts) {
      items.set(counts.waiting, { state: "waiting" });
      items.set(counts.held, { state: "held" });
    },
  };
}
