/** The store's care: the administrator's side. */

import type { Hono } from "hono";
import * as v from "valibot";
import { Denied } from "#base/errors";
import type { Keyring } from "#contracts/keyring";
import { type OpenStore, salvage, scrubAll } from "#store";
import { body } from "./admin-input.ts";
import type { HubEvents } from "./events.ts";
import { inLines } from "./lines.ts";

export interface StoreAdminPorts {
  readonly store: OpenStore;
  readonly keyring: Keyring;
  readonly events: Pick<HubEvents, "adminActed">;
  /** Destroys what was deleted, now. */
  readonly erase: () => Promise<object>;
}

const newScrub = v.strictObject({
  bytesPerSecond: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
});
const newCompaction = v.strictObject({ all: v.boolean() });
const newRekey = v.strictObject({ retire: v.boolean() });
const newSalvage = v.strictObject({
  reason: v.pipe(v.string(), v.trim(), v.minLength(1), v.maxLength(500)),
  /** Who asks, as the machine calls them: several people may have the secret. */
  user: v.optional(v.pipe(v.string(), v.regex(/^[\w.@-]{1,64}$/))),
});

export function storeRoutes(app: Hono, ports: StoreAdminPorts, by: string): void {
  const { store, events } = ports;
  app.get("/store/stats", async (c) => c.json(await store.stats()));
  app.get("/store/health", async (c) => c.json(await store.health()));
  app.post("/store/erase", async (c) => {
    const report = await ports.erase();
    events.adminActed("erase what was deleted", by);
    return c.json(report);
  });
  app.post("/store/scrub", async (c) => {
    const { bytesPerSecond } = await body(c, newScrub);
    const { signal } = c.req.raw;
    events.adminActed("scrub the store", by);
    return inLines(c, ({ tell, part }) => {
      const rate = bytesPerSecond === undefined ? {} : { bytesPerSecond };
      const onSegment = (result: object): void => void part(result).catch(() => undefined);
      return scrubAll(store, { ...rate, signal, onProgress: tell, onSegment });
    });
  });
  app.post("/store/verify", async (c) => c.json(await store.verify()));
  app.post("/store/compact", async (c) => {
    const { all } = await body(c, newCompaction);
    const report = await store.compact({ force: all });
    events.adminActed(`compact ${all ? "everything" : "the store"}`, by);
    return c.json(report);
  });
  app.post("/store/rekey", async (c) => {
    const { retire } = await body(c, newRekey);
    const report = await rekey(ports, retire);
    events.adminActed(`seal the store's key under the master key ${report.master}`, by);
    return c.json(report);
  });
  app.post("/store/salvage", async (c) => {
    const { reason, user } = await body(c, newSalvage);
    const who = user === undefined ? by : `${by} (${user})`;
    events.adminActed("salvage all mail", who);
    return inLines(c, async ({ part }) => {
      let [read, lost] = [0, 0];
      const source = {
        people: store.people,
        mailboxes: store.mailboxes,
        // Somebody else than its owner gets to see it: each message goes on the record.
        read: (account: string, message: string) =>
          store.audit.readByOther({ account, message, by: who, reason }),
      };
      for await (const one of salvage(source)) {
        if ("lost" in one) lost += 1;
        else read += 1;
        await part("lost" in one ? one : { ...one, octets: one.octets.toString("base64") });
      }
      return { read, lost };
    });
  });
}

export interface RekeyReport {
  /** Under which the store's key is sealed now. */
  readonly master: string;
  readonly retired: readonly string[];
  /** Others that still unwrap. */
  readonly held: readonly string[];
}

/** A failure on the way leaves the store's key under a master key that is still held. */
async function rekey({ store, keyring }: StoreAdminPorts, retire: boolean): Promise<RekeyReport> {
  await keyring.rotateMaster();
  const master = await store.rekey(keyring);
  const retired: string[] = [];
  const others = (await keyring.masterIds()).held.filter((id) => id !== master);
  for (const id of retire ? others : []) {
    try {
      await keyring.retireMaster(id);
      retired.push(id);
    } catch (error) {
      if (!(error instanceof Denied)) throw error; // a credential is its owner's to take away
    }
  }
  return { master, retired, held: others.filter((id) => !retired.includes(id)) };
}
