/** Backups: the administrator's side. What takes long tells its progress, a line of JSON at a time. */

import type { Context, Hono } from "hono";
import * as v from "valibot";
import { Misconfigured, Unavailable } from "#base/errors";
import { DamagedMail } from "#store";
import { body } from "./admin-input.ts";
import type { Backups } from "./backups.ts";
import type { HubEvents } from "./events.ts";

export interface BackupAdminPorts {
  readonly backups: Backups;
  readonly events: Pick<HubEvents, "adminActed">;
}

const newBackup = v.strictObject({
  to: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(2000))),
});
const seconds = v.pipe(v.number(), v.minValue(0));
const name = v.pipe(v.string(), v.regex(/^manifests\/\d{13}-[0-9a-f]{64}\.json$/));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const drill = v.strictObject({
  ok: v.boolean(),
  backup: name,
  seconds: v.strictObject({ restore: seconds, rebuild: seconds, read: seconds, all: seconds }),
  messages: count,
  lsn: v.optional(count),
  reason: v.optional(v.pipe(v.string(), v.maxLength(2000))),
});

/** Progress is told at most so often. */
const progressMs = 200;

export function backupRoutes(app: Hono, { backups, events }: BackupAdminPorts, by: string): void {
  app.get("/backup", (c) => c.json(backups.state()));
  app.post("/backup/create", async (c) => {
    const { to } = await body(c, newBackup);
    const { signal } = c.req.raw;
    return inLines(c, async (onProgress) => {
      const created = await backups.create(by, { to, onProgress, signal });
      events.adminActed(`make backup ${created.name}`, by);
      return created;
    });
  });
  app.post("/backup/prune", async (c) => {
    const pruned = await backups.prune();
    events.adminActed(`remove ${pruned.removedManifests} old backups`, by);
    return c.json(pruned);
  });
  app.post("/backup/drilled", async (c) => {
    const { lsn, reason, ...report } = await body(c, drill);
    const more = { ...(lsn !== undefined && { lsn }), ...(reason !== undefined && { reason }) };
    await backups.drilled({ ...report, ...more }, by);
    return c.json({ done: `remember the drill of ${report.backup}` });
  });
}

type Tell = (doneBytes: number, allBytes: number) => void;

/** Lines {done, of}, then one with the result, or with what went wrong and the status it would have. */
function inLines(c: Context, work: (tell: Tell) => Promise<object>): Response {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const write = (line: object): Promise<void> =>
    writer.write(Buffer.from(`${JSON.stringify(line)}\n`)).catch(() => undefined);
  let toldMs = 0;
  const tell: Tell = (done, of) => {
    const nowMs = performance.now();
    if (nowMs - toldMs < progressMs) return;
    toldMs = nowMs;
    void write({ done, of });
  };
  void work(tell)
    .then(
      (result) => write({ result }),
      (error: unknown) => write(failureLine(error)),
    )
    .then(() => writer.close())
    .catch(() => undefined); // nobody listens any more
  return c.body(readable, 200, { "content-type": "application/x-ndjson" });
}

function failureLine(error: unknown): object {
  if (error instanceof DamagedMail) {
    return { error: error.message, status: 500, damage: { ...error.place, named: error.named } };
  }
  if (error instanceof Misconfigured) return { error: error.message, status: 422 };
  if (error instanceof Unavailable) return { error: error.message, status: 503 };
  return { error: "internal failure", status: 500 };
}
