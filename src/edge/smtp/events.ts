/** What the mail edge counts and logs: one function per event, no content, no address. */

import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { Witnessed } from "#edge/witness";
import type { Verdict } from "#model/verdict";

export interface EdgeEvents {
  /** A message was answered with 250, so long after its end. */
  kept(id: string, seconds: number): void;
  /** It waits here, sealed. */
  spooled(id: string): void;
  /** A message or a recipient was refused or put off. */
  refused(id: string, stage: string, code: number, because: string): void;
  /** What was found out about a message's sender, whatever came of it. */
  checked(verdicts: readonly Verdict[]): void;
  /** The same signature came to so many messages within an hour. */
  replayed(id: string, domain: string, messages: number): void;
  /** The link broke under a message; what came of it. */
  rescued(id: string, outcome: "committed" | "sent-again" | "spooled" | "put-off"): void;
  policy(outcome: string, version: number): void;
  dialled(outcome: "open" | "refused" | "failed"): void;
  drained(id: string, outcome: "committed" | "refused" | "failed"): void;
  spoolFailed(error: unknown): void;
  /** A head of the log was cosigned, or why not. */
  witnessed(outcome: Witnessed["outcome"] | "failed", because?: unknown): void;
}

export function edgeEvents(log: Log, registry: Registry): EdgeEvents {
  const kept = registry.counter("edge_kept", "Messages answered with 250");
  const spooled = registry.counter("edge_spooled", "Messages kept sealed until the link is back");
  const wait = registry.histogram("edge_commit_seconds", "From the end of the content to its 250");
  const refusals = registry.counter("edge_refusals", "Refusals, by stage and code");
  const seen = registry.counter("edge_verdicts", "Verdicts on senders, by method and result");
  const senderId = registry.counter("edge_sender_id", "Messages validated by Sender ID, by status");
  const replays = registry.counter("edge_replays", "Messages beyond the replay limit");
  const rescues = registry.counter("edge_rescues", "Messages whose link broke, by outcome");
  const policies = registry.counter("edge_policy", "Policy snapshots pushed, by outcome");
  const version = registry.gauge("edge_policy_version", "Version of the snapshot in force");
  const dials = registry.counter("edge_dials", "Connections made for the inside, by outcome");
  const witnessed = registry.counter("edge_witnessed", "Heads of the log seen, by outcome");
  const drained = registry.counter("edge_drained", "Spooled messages handed in, by outcome");
  return {
    kept(id, seconds) {
      kept.add();
      wait.observe(seconds);
      log.write("debug", "edge.kept", { id, ms: Math.round(seconds * 1000) });
    },
    spooled(id) {
      spooled.add();
      log.write("info", "edge.spooled", { id });
    },
    refused(id, stage, code, because) {
      refusals.add({ stage, code: String(code) });
      log.write("info", "edge.refused", { id, stage, code, because });
    },
    checked(verdicts) {
      for (const verdict of verdicts) {
        seen.add({ method: verdict.method, result: verdict.result });
        if (verdict.method === "sender-id") senderId.add({ status: verdict.status });
      }
    },
    replayed(id, domain, messages) {
      replays.add();
      log.write("warn", "edge.replayed", { id, domain, messages });
    },
    rescued(id, outcome) {
      rescues.add({ outcome });
      log.write("warn", "edge.rescued", { id, outcome });
    },
    policy(outcome, held) {
      policies.add({ outcome });
      version.set(held);
      log.write(outcome === "taken" ? "info" : "error", "edge.policy", { outcome, version: held });
    },
    dialled: (outcome) => dials.add({ outcome }),
    drained(id, outcome) {
      drained.add({ outcome });
      log.write(outcome === "committed" ? "info" : "warn", "edge.drained", { id, outcome });
    },
    spoolFailed: (error) => log.write("error", "edge.spool-failed", { because: String(error) }),
    witnessed(outcome, because) {
      witnessed.add({ outcome });
      const why = because === undefined ? {} : { because: String(because) };
      log.write(outcome === "cosigned" ? "debug" : "warn", "edge.witnessed", { outcome, ...why });
    },
  };
}
