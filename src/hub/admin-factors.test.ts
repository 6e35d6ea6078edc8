import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { factorRoutes } from "./admin-factors.ts";
import { ana, from, handleOf, openHouse, pendingOf, reasonOf } from "./login/fixture.test.ts";

async function stage() {
  const house = await openHouse();
  const acted: string[] = [];
  const by: string[] = [];
  const { directory, sessions, login } = house;
  const { changeFactors } = directory;
  const watched = {
    ...directory,
    changeFactors: ((account, who, change) => {
      by.push(who);
      return changeFactors(account, who, change);
    }) as typeof changeFactors,
  };
  const app = new Hono();
  app.onError((error, c) => {
    assert.ok(error instanceof HTTPException, String(error));
    return c.json({ error: error.message }, error.status);
  });
  const signIn = {
    sessions,
    service: house.account.service,
    signOut(account: string) {
      sessions.revokeAll(account);
      login.forget(account);
    },
  };
  const events = { adminActed: (what: string) => acted.push(what) };
  factorRoutes(app, { directory: watched, events, signIn } as never, "command line");
  const ask = async (method: string, path: string, body?: object): Promise<unknown> => {
    const url = `/accounts/${encodeURIComponent(ana)}${path}`;
    const init = body === undefined ? { method } : { method, body: JSON.stringify(body) };
    const reply = await app.request(url, init);
    return reply.status === 200 ? reply.json() : reply.status;
  };
  return { house, acted, by, ask, app };
}

describe("factorRoutes()", () => {
  test("shows factors without their secrets, removes one or all, and ends the sessions", async () => {
    const { house, acted, by, ask } = await stage();
    const handle = handleOf(await house.enter());
    await house.enrol(handle);
    const listed = (await ask("GET", "/factors")) as { id: string; kind: string }[];
    assert.deepEqual(listed.map(({ kind }) => kind).sort(), ["recovery-codes", "totp"]);
    assert.ok(!/secret|digest/.test(JSON.stringify(listed)));
    const pending = pendingOf(await house.enter());
    const id = listed.find(({ kind }) => kind === "totp")?.id ?? "";
    assert.equal(await ask("DELETE", "/factors/none"), 404);
    assert.deepEqual(await ask("DELETE", `/factors/${id}`), {
      done: `remove factor ${id} of ${ana}`,
    });
    assert.equal(house.sessions.peek(handle), undefined);
    assert.equal(reasonOf(await house.code(pending, "000000")), "refused", "ended as well");
    assert.deepEqual(await ask("GET", "/factors"), []);
    const again = handleOf(await house.enter());
    await house.enrol(again);
    await ask("DELETE", "/factors");
    assert.deepEqual(house.directory.factors(house.id), []);
    assert.equal(acted.length, 2);
    assert.deepEqual(by, Array(3).fill("command line"), "the ledger names who acted");
  });

  test("makes an app password that is shown once", async () => {
    const { house, ask } = await stage();
    const made = (await ask("POST", "/app-passwords", { name: "phone" })) as { password: string };
    const outcome = await house.login.basic(ana, made.password, from.clientAddress);
    assert.ok(outcome.ok);
    assert.equal(await ask("POST", "/app-passwords", { name: " " }), 400);
    assert.ok(!JSON.stringify(await ask("GET", "/factors")).includes(made.password));
  });

  test("lists and ends sessions (W8)", async () => {
    const { house, ask } = await stage();
    const [one, other] = [handleOf(await house.enter()), handleOf(await house.enter(true))];
    const listed = (await ask("GET", "/sessions")) as { id: string; publicComputer: boolean }[];
    assert.deepEqual(
      listed.map(({ publicComputer }) => publicComputer),
      [false, true],
    );
    await ask("DELETE", `/sessions/${listed[0]?.id}`);
    assert.equal(house.sessions.peek(one), undefined);
    assert.ok(house.sessions.peek(other));
    assert.equal(await ask("DELETE", "/sessions/none"), 404);
    await ask("DELETE", "/sessions");
    assert.deepEqual(await ask("GET", "/sessions"), []);
  });

  test("knows nobody else", async () => {
    const { app } = await stage();
    for (const path of ["factors", "sessions"]) {
      assert.equal((await app.request(`/accounts/nobody%40example.org/${path}`)).status, 404);
    }
  });
});
