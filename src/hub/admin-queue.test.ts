import assert from "node:assert/strict";
import { test } from "node:test";
import { Hono } from "hono";
import { type QueuePorts, queueRoutes } from "./admin-queue.ts";

test("what is settled cannot be changed, and the answer says so", async () => {
  const app = new Hono();
  queueRoutes(app, { store: {} } as unknown as QueuePorts, "admin");
  for (const state of ["delivered", "failed", "dropped"]) {
    const body = JSON.stringify({ act: "release", state });
    const answer = await app.request("/queue", { method: "POST", body });
    assert.equal(answer.status, 400);
    assert.equal(await answer.text(), "state: only items that are waiting or held can be changed");
  }
});
