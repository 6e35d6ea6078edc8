/** The queue and the hops of messages: the administrator's side. */

import type { Context, Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import * as v from "valibot";
import type { Clock } from "#base/clock";
import { Unavailable } from "#base/errors";
import type { AgePlace, QueueFilter, Store } from "#contracts/store";
import type { QueueItem, QueueState } from "#model/queue";
import { body, whole } from "./admin-input.ts";
import type { HubEvents } from "./events.ts";
import type { LedgerHistory } from "./ledger-history.ts";

export interface QueuePorts {
  readonly store: Pick<Store, "queue" | "traces">;
  readonly clock: Clock;
  readonly events: Pick<HubEvents, "adminActed">;
  readonly history: Pick<LedgerHistory, "prove">;
  /** Why an item is not under way. */
  readonly explain: (item: QueueItem) => string;
  /** After an administrator's act: places that did not answer are asked now, the domain's or all. */
  readonly lookNow: (domain?: string) => void;
}

const states = ["waiting", "held", "delivered", "failed", "dropped"] as const;
const acts = ["hold", "release", "drop", "retry"] as const;
type Act = (typeof acts)[number];
const asksForTry: ReadonlySet<Act> = new Set(["retry", "release"]);

/** Which items an act is for: at least one of the two, so that nobody drops everything by mistake. */
const wish = v.pipe(
  v.strictObject({
    act: v.picklist(acts),
    domain: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(255))),
    state: v.optional(
      v.picklist(["waiting", "held"], "only items that are waiting or held can be changed"),
    ),
  }),
  v.check(({ domain, state }) => domain !== undefined || state !== undefined, "domain or state"),
);

/** Items changed at the same time: they share a flush. */
const pageItems = 1000;

/** @param by who acts, for the ledger */
export function queueRoutes(app: Hono, ports: QueuePorts, by: string): void {
  const { queue } = ports.store;
  app.get("/queue", async (c) => {
    const items = await queue.list(filterOf(c));
    const explained = items.map((item) => ({ ...item, why: ports.explain(item) }));
    return c.json({ counts: await queue.counts(), items: explained });
  });
  app.get("/queue/:id", async (c) => {
    const id = c.req.param("id");
    const item = await queue.get(id);
    if (item === undefined) throw noItem(id);
    return c.json({ ...item, why: ports.explain(item), tries: await queue.attempts(id) });
  });
  app.post("/queue", async (c) => {
    const { act, domain, state } = await body(c, wish);
    const filter = { ...(domain !== undefined && { domain }), ...(state && { state }) };
    const changed = await changeAll(ports, { act, by }, filter);
    const which = [domain ?? "any domain", state ?? "any state"].join(", ");
    ports.events.adminActed(`${changed} queue items (${which}): ${act}`, by);
    if (asksForTry.has(act)) ports.lookNow(domain);
    return c.json({ changed });
  });
  app.post("/queue/:id/:act", async (c) => {
    const act = acts.find((one) => one === c.req.param("act"));
    if (act === undefined) return c.notFound();
    const id = c.req.param("id");
    if (!(await queue.change(id, act, by, ports.clock.nowMs()))) {
      const item = await queue.get(id);
      if (item === undefined) throw noItem(id);
      throw new HTTPException(409, { message: `${act} does nothing: item ${id} is ${item.state}` });
    }
    ports.events.adminActed(`queue item ${id}: ${act}`, by);
    const path = (await queue.get(id))?.recipient ?? "";
    if (asksForTry.has(act)) ports.lookNow(path.slice(path.lastIndexOf("@") + 1));
    return c.json({ done: `${act} ${id}` });
  });
  app.get("/trace/:id/proof", async (c) => {
    const id = c.req.param("id");
    const proof = await proofOf(id, ports);
    if (proof === undefined) throw new HTTPException(404, { message: `no message ${id}` });
    return c.json(proof);
  });
}

function noItem(id: string): HTTPException {
  return new HTTPException(404, { message: `no item ${id} in the queue` });
}

/** @throws HTTPException 400 */
function filterOf(c: Context): QueueFilter {
  const state = c.req.query("state");
  if (state !== undefined && !states.includes(state as QueueState)) {
    throw new HTTPException(400, { message: `state is one of ${states.join(", ")}` });
  }
  const domain = c.req.query("domain");
  return {
    ...(state && { state: state as QueueState }),
    ...(domain && { domain }),
    limit: Math.min(whole(c, "limit", 100), 10_000),
  };
}

/** @returns how many it applied to */
async function changeAll(
  { store: { queue }, clock }: QueuePorts,
  { act, by }: { readonly act: Act; readonly by: string },
  filter: Omit<QueueFilter, "limit">,
): Promise<number> {
  let changed = 0;
  for (let after: AgePlace | undefined; ; ) {
    const page = await queue.list({ ...filter, limit: pageItems, ...(after && { after }) });
    const done = await Promise.all(page.map(({ id }) => queue.change(id, act, by, clock.nowMs())));
    changed += done.filter(Boolean).length;
    after = page.at(-1);
    if (page.length < pageItems) return changed;
  }
}

/**
 * postern-hops-1 of docs/queue.md: how each hop of the message was protected. `history` is what
 * `witness prove` gives, whose leaves say the same of the same records.
 */
async function proofOf(id: string, { store, history }: QueuePorts): Promise<object | undefined> {
  const trace = await store.traces.show(id);
  if (trace === undefined) return undefined;
  const items = await store.queue.list({ message: id, limit: 10_000 });
  const out = [];
  for (const { id: item, recipient, state } of items.toReversed()) {
    const tries = await store.queue.attempts(item);
    out.push({
      item,
      recipient,
      state,
      attempts: tries.map(({ record, ...attempt }) => ({ leaf: record - 1, ...attempt })),
    });
  }
  const { connection: cameBy, atMs, direction } = trace;
  const facts = { format: "postern-hops-1", message: id, direction, atMs, in: cameBy, out };
  try {
    const proof = await history.prove(id);
    return { ...facts, ...(proof && { history: proof }) };
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    return { ...facts, withoutHistory: error.message };
  }
}
