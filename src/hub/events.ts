/** Everything the hub's own rooms tell: one function per event, log record and counters together. */

import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { LoginStep } from "#contracts/inbound-login";
import type { StreamKind } from "#contracts/link";
import type { Acceptance } from "#contracts/store";
import type { Submission } from "#contracts/submission";
import type { Verdict } from "#model/verdict";
import type { EdgePeer } from "./settings.ts";

export interface HubEvents {
  accepted(acceptance: Acceptance, receivedAtMs: number, committedAtMs: number): void;
  depositFailed(id: string, error: unknown): void;
  damagedOnTheWay(id: string): void;
  sealedUnreadable(fault: string): void;
  refusalSeen(isKept: boolean): void;
  /** An edge said something that no edge of ours says: it is out of date, or taken over. */
  wrongShape(kind: StreamKind, edge: EdgePeer["name"]): void;
  submitted(submission: Pick<Submission, "id">, mailboxes: number, queued: number): void;
  submissionDeferred(id: string, error: unknown): void;
  linkUp(edge: string, nth: number): void;
  linkDown(edge: string, why: string): void;
  policyPushed(edge: string, version: number): void;
  storeFailed(error: Error): void;
  probed(door: string, ok: boolean, why: string): void;
  /** @param found what is known of the user: its connector, and the file with the secret that fitted */
  partnerLogin(
    outcome: "ok" | "refused" | "slow-down",
    login: Pick<LoginStep, "mechanism" | "from">,
    found: { readonly connector?: string; readonly file?: string },
  ): void;
  /** The secrets of a connector cannot be used: nobody comes in by it. */
  partnerSecretFailed(connector: string, error: Error): void;
  adminActed(what: string, by: string): void;
}

export function hubEvents(log: Log, registry: Registry): HubEvents {
  const messages = registry.counter("messages", "Messages committed, by direction");
  const countVerdicts = verdictCounters(registry);
  const refusals = registry.counter(
    "refusals",
    "Refusals that an edge told, kept in the trace or not",
  );
  const integrity = registry.counter("content_damaged", "Deposits whose octets changed on the way");
  const wrongShapes = registry.counter(
    "wrong_shapes",
    "What edges said in a wrong shape, by edge and kind of stream",
  );
  const why = (error: unknown): string => (error instanceof Error ? error.message : String(error));
  return {
    accepted({ id, deliveries, verdicts }, receivedAtMs, committedAtMs) {
      messages.add({ direction: "inbound" });
      countVerdicts(verdicts);
      log.write("info", "hub.accepted", {
        id,
        mailboxes: deliveries.length,
        duration_ms: Math.round(committedAtMs - receivedAtMs),
      });
    },
    depositFailed: (id, error) => log.write("error", "hub.deposit-failed", { id, why: why(error) }),
    damagedOnTheWay(id) {
      integrity.add();
      log.write("error", "hub.damaged-on-the-way", { id });
    },
    refusalSeen: (isKept) => refusals.add({ trace: isKept ? "kept" : "dropped" }),
    wrongShape(kind, edge) {
      wrongShapes.add({ edge, kind });
      log.write("warn", "hub.wrong-shape", { edge, kind });
    },
    ...partnerEvents(log, registry),
    sealedUnreadable: (fault) => log.write("error", "hub.sealed-unreadable", { fault }),
    submitted(submission, mailboxes, queued) {
      messages.add({ direction: "submission" });
      log.write("info", "hub.submitted", { id: submission.id, mailboxes, queued });
    },
    submissionDeferred: (id, error) =>
      log.write("warn", "hub.submission-deferred", { id, why: why(error) }),
    ...linkEvents(log, registry),
    storeFailed: (error) => log.write("error", "hub.store-failed", { why: error.message }),
    probed: (door, ok, reason) =>
      log.write(ok ? "info" : "error", "hub.probed", { door, ok, why: reason }),
    adminActed: (what, by) => log.write("info", "hub.admin-acted", { what, by }),
  };
}

function verdictCounters(registry: Registry): (verdicts: readonly Verdict[]) => void {
  const results = registry.counter(
    "auth_results",
    "Sender checks of accepted mail, by method and result",
  );
  const spoofs = registry.counter(
    "spoof_evidence",
    "What spoke for deception in accepted mail, by type and origin",
  );
  return (verdicts) => {
    for (const verdict of verdicts) {
      const { method } = verdict;
      const result = method === "spam" ? String(verdict.level) : verdict.result;
      results.add({ method, result });
      if (verdict.method !== "sender") continue;
      for (const { type } of verdict.evidence) spoofs.add({ type, origin: verdict.origin });
    }
  };
}

function linkEvents(
  log: Log,
  registry: Registry,
): Pick<HubEvents, "linkUp" | "linkDown" | "policyPushed"> {
  const links = registry.counter("link_events", "Links that came up or went down, by edge");
  return {
    linkUp(edge, nth) {
      links.add({ edge, event: "up" });
      log.write("info", "hub.link-up", { edge, nth });
    },
    linkDown(edge, why) {
      links.add({ edge, event: "down" });
      log.write("warn", "hub.link-down", { edge, why });
    },
    policyPushed: (edge, version) => log.write("info", "hub.policy-pushed", { edge, version }),
  };
}

function partnerEvents(
  log: Log,
  registry: Registry,
): Pick<HubEvents, "partnerLogin" | "partnerSecretFailed"> {
  const partners = registry.counter("partner_logins", "Logins of partners, by outcome");
  return {
    partnerLogin(outcome, { mechanism, from }, { connector, file }) {
      partners.add({ outcome, connector: connector ?? "none" });
      const level = outcome === "ok" ? "info" : "warn";
      const found = { ...(connector && { connector }), ...(file && { file }) };
      log.write(level, "hub.partner-login", { outcome, mechanism, from, ...found });
    },
    partnerSecretFailed: (connector, error) =>
      log.write("error", "hub.partner-secret-failed", { connector, why: error.message }),
  };
}
