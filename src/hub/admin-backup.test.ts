import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Hono } from "hono";
import { Misconfigured, Unavailable } from "#base/errors";
import { DamagedMail } from "#store";
import type { Created } from "#store/backup";
import { type BackupAdminPorts, backupRoutes } from "./admin-backup.ts";
import type { Backups, BackupWish } from "./backups.ts";
import { listenHttp } from "./console.ts";

const created = { name: "manifests/1-x.json", lsn: 7 } as unknown as Created;

function routes(create: (wish: BackupWish) => Promise<Created>): Hono {
  const backups: Partial<Backups> = { create: (_by, wish = {}) => create(wish) };
  const app = new Hono();
  const ports = { backups, events: { adminActed() {} } } as unknown as BackupAdminPorts;
  backupRoutes(app, ports, "test");
  return app;
}

async function lines(app: Hono, body: object = {}): Promise<Record<string, unknown>[]> {
  const reply = await app.request("/backup/create", { method: "POST", body: JSON.stringify(body) });
  assert.equal(reply.status, 200);
  const text = await reply.text();
  return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
}

describe("backupRoutes()", () => {
  test("tells how far a backup is, and then what was made", async () => {
    const app = routes(async ({ to, onProgress }) => {
      assert.equal(to, "/mnt");
      onProgress?.(5, 10);
      return created;
    });
    assert.deepEqual(await lines(app, { to: "/mnt" }), [{ done: 5, of: 10 }, { result: created }]);
  });

  const failures: readonly [Error, number][] = [
    [new Misconfigured("no key"), 422],
    [new Unavailable("no answer"), 503],
    [new Error("secret internals"), 500],
  ];
  for (const [error, status] of failures) {
    test(`ends with the reason and status ${status} on ${error.name}`, async () => {
      const [line] = await lines(routes(() => Promise.reject(error)));
      assert.equal(line?.["status"], status);
      assert.ok(!JSON.stringify(line).includes("secret"));
    });
  }

  test("names page, messages, accounts and mailboxes when the store is damaged", async () => {
    const place = { file: "segment-00000003", page: 17, what: "checksum", messages: [] } as const;
    const entries = [{ address: "ana@example.org", mailbox: "INBOX" }];
    const error = new DamagedMail(place, [{ message: "00ff", entries }]);
    const [line] = await lines(routes(() => Promise.reject(error)));
    assert.deepEqual(line?.["damage"], {
      ...{ file: "segment-00000003", page: 17, what: "checksum", messages: ["00ff"] },
      named: ["00ff, ana@example.org in INBOX"],
    });
  });

  test("refuses a drill's report in a wrong shape", async () => {
    const app = routes(async () => created);
    const bad = await app.request("/backup/drilled", { method: "POST", body: '{"ok":true}' });
    assert.equal(bad.status, 400);
  });

  test("stops a backup whose asker has gone", async () => {
    const stopped = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const app = routes(({ signal }) => {
      signal?.addEventListener("abort", () => stopped.resolve());
      begun.resolve();
      return new Promise(() => undefined);
    });
    const folder = mkdtempSync(join(tmpdir(), "postern-admin-"));
    const socketPath = join(folder, "sock");
    await using listener = await listenHttp(app, { path: socketPath });
    assert.ok(listener);
    const headers = { "content-type": "application/json" };
    const asking = request({ socketPath, method: "POST", path: "/backup/create", headers });
    asking.on("error", () => undefined);
    asking.end("{}");
    await begun.promise;
    asking.destroy();
    await stopped.promise;
    rmSync(folder, { recursive: true });
  });
});
