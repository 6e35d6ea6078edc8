/** Backups: the administrator's side. What takes long tells its progress, a line of JSON at a time. */

import type { Hono } from "hono";
import * as v from "valibot";
import { body } from "./admin-input.ts";
import type { Backups } from "./backups.ts";
import type { HubEvents } from "./events.ts";
import { inLines } from "./lines.ts";

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

export function backupRoutes(app: Hono, { backups, events }: BackupAdminPorts, by: string): void {
  app.get("/backup", (c) => c.json(backups.state()));
  app.post("/backup/create", async (c) => {
    const { to } = await body(c, newBackup);
    const { signal } = c.req.raw;
    return inLines(c, async ({ tell: onProgress }) => {
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
