/** What the console and `postern` ask about the whole: gathered, never computed twice. */

import { deliveryFigures, senderFigures } from "#assurance/measures";
import { backupRow } from "./backup-row.ts";
import type { Backups } from "./backups.ts";
import { certificateRow } from "./certificates/console-row.ts";
import type { Certificates, PlaceFacts } from "./certificates/index.ts";
import type { ConsoleFacts, HealthRow } from "./console-page.ts";
import type { Edges } from "./edges.ts";
import type { Inside } from "./inside.ts";
import type { ProbeName, Probes } from "./probes.ts";
import { keptRow, type StoreFacts, sealRows, sealState, storeFacts } from "./store-facts.ts";

export function consoleFacts(
  inside: Inside,
  edges: Edges,
  probes: Probes,
  {
    backups,
    certificates,
  }: { readonly backups: Pick<Backups, "state">; readonly certificates: Certificates },
): { status(): Promise<object>; page(): Promise<ConsoleFacts> } {
  const startedAtMs = inside.clock.nowMs();
  return {
    async status() {
      const { settings, store, clock } = inside;
      return {
        hostname: settings.hostname,
        domain: settings.domain,
        startedAtMs,
        nowMs: clock.nowMs(),
        links: { "edge-smtp": edges.isUp("edge-smtp"), "edge-web": edges.isUp("edge-web") },
        probes: Object.fromEntries(probes.results()),
        queue: await store.queue.counts(),
        store: await store.stats(),
        care: careOf(await storeFacts(inside, backups)),
        certificates: (await certificates.show()).places.map(certificateState),
        sealed: await sealState(inside),
        delivery: deliveryFigures(inside.registry.samples()),
        senders: senderFigures([...inside.registry.samples(), ...edges.samples()]),
      };
    },
    async page() {
      const { settings, store, directory, clock, registry } = inside;
      const queued = await store.queue.counts();
      const kept = await storeFacts(inside, backups);
      return {
        hostname: settings.hostname,
        version: settings.version,
        atMs: clock.nowMs(),
        health: [
          ...(await health(inside, edges, probes, kept)),
          ...sealRows(await sealState(inside), clock.nowMs()),
          backupRow(backups.state(), clock.nowMs()),
          certificateRow(await certificates.show()),
        ],
        legs: deliveryFigures(registry.samples()).map((one) => ({
          path: one.path,
          count: one.count,
          ...(one.p50Seconds !== undefined && { p50Ms: one.p50Seconds * 1000 }),
          ...(one.p95Seconds !== undefined && { p95Ms: one.p95Seconds * 1000 }),
        })),
        store: kept,
        senders: senderFigures([...registry.samples(), ...edges.samples()]),
        messages: await store.traces.find({ limit: 15 }),
        accounts: directory.accounts().map(({ address }) => address),
        queued,
      };
    },
  };
}

function certificateState({ place, served, findings }: PlaceFacts): object {
  const until = served && { daysLeft: served.daysLeft, notAfterMs: served.notAfterMs };
  return { place, ...until, findings };
}

async function health(
  inside: Inside,
  edges: Edges,
  probes: Probes,
  kept: StoreFacts,
): Promise<HealthRow[]> {
  const { store, keyring, settings } = inside;
  const queue = await store.queue.counts();
  const keys = await keyring.dkimKeys(settings.domain).catch(() => undefined);
  const link = (name: "edge-smtp" | "edge-web", question: string, down: string): HealthRow =>
    edges.isUp(name)
      ? { question, state: "good", answer: `yes, ${name} is linked` }
      : { question, state: "danger", answer: `no link to ${name}: ${down}` };
  return [
    link("edge-smtp", "Can mail come in?", "it puts new mail off, or seals it in its spool"),
    link("edge-web", "Can people reach the webmail?", "it shows that the mail is away"),
    door(probes, "read", "Can people read their mail?"),
    door(probes, "send", "Can people send mail?"),
    keptRow(kept),
    {
      question: "Does mail leave?",
      state: queue.held > 0 ? "caution" : "good",
      answer: `${queue.waiting} wait, ${queue.held} held, ${queue.failed} failed`,
    },
    keys === undefined
      ? { question: "Is mail signed?", state: "danger", answer: "the keyring does not answer" }
      : keys.length === 0
        ? {
            question: "Is mail signed?",
            state: "caution",
            answer: `no DKIM key for ${settings.domain}`,
          }
        : {
            question: "Is mail signed?",
            state: "good",
            answer: keys.map(({ selector }) => selector).join(", "),
          },
  ];
}

/** In short, for scripts that watch. */
function careOf({ health: found, flushP99Seconds }: StoreFacts): object {
  const { repairs: _all, damaged, ...counts } = found;
  const p99 = flushP99Seconds === undefined ? {} : { flushP99Seconds };
  return { ...counts, damaged: damaged.length, ...p99 };
}

function door(probes: Probes, name: ProbeName, question: string): HealthRow {
  const result = probes.results().get(name);
  if (result === undefined) return { question, state: "caution", answer: "not probed yet" };
  return result.ok
    ? { question, state: "good", answer: "the door greets" }
    : { question, state: "danger", answer: result.why };
}
