import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { totpCode, totpStep } from "#access/factors";
import { pick, seededRandom } from "#base/random";
import { SoftAuthenticator } from "../../../tests/kit/authenticator.ts";
import {
  ana,
  from,
  handleOf,
  host,
  openHouse,
  password,
  pendingOf,
  reasonOf,
} from "../login/fixture.test.ts";
import { answerAccount } from "./account.ts";

const minuteMs = 60_000;
const problem = (what: string, status: number) => ({
  status,
  body: { type: `urn:postern:account:${what}`, status },
});

describe("/session", () => {
  test("CAP-24 tells how long it lasts, less on a public computer, without prolonging it", async () => {
    const house = await openHouse();
    const own = handleOf(await house.enter());
    const publicOne = handleOf(await house.enter(true));
    await house.clock.advance(4 * minuteMs);
    for (let round = 0; round < 2; round += 1) {
      assert.deepEqual((await house.ask(own, "session")).body, {
        idleEndsInSeconds: 11 * 60,
        absoluteEndsInSeconds: 8 * 3600 - 240,
        publicComputer: false,
        mustEnrol: false,
      });
    }
    const times = (await house.ask(publicOne, "session")).body as Record<string, unknown>;
    assert.deepEqual(
      [times["idleEndsInSeconds"], times["absoluteEndsInSeconds"], times["publicComputer"]],
      [360, 3360, true],
    );
  });

  test("CAP-23 ends without use, is prolonged as often as wanted, and ends for good", async () => {
    const house = await openHouse();
    const idle = handleOf(await house.enter());
    await house.clock.advance(15 * minuteMs);
    assert.deepEqual(await house.ask(idle, "session"), problem("session", 401));
    const busy = handleOf(await house.enter());
    for (let round = 0; round < 34; round += 1) {
      await house.clock.advance(14 * minuteMs);
      assert.equal((await house.ask(busy, "session/extend", {})).status, 200, `${round}`);
    }
    const last = (await house.ask(busy, "session/extend", {})).body as Record<string, number>;
    assert.deepEqual([last["idleEndsInSeconds"], last["absoluteEndsInSeconds"]], [240, 240]);
    await house.clock.advance(4 * minuteMs);
    assert.deepEqual(await house.ask(busy, "session/extend", {}), problem("session", 401));
  });
});

describe("/account", () => {
  test("W8 nobody without a session, or with another's, is told anything", async () => {
    const house = await openHouse();
    const handle = handleOf(await house.enter());
    for (const other of ["", "x", `${handle.slice(1)}A`, handle.toUpperCase()]) {
      assert.deepEqual(await house.ask(other, "account"), problem("session", 401));
      assert.deepEqual(
        await house.ask(other, "account/confirm", { password }),
        problem("session", 401),
      );
    }
    house.sessions.revoke(handle);
    assert.deepEqual(await house.ask(handle, "account"), problem("session", 401));
  });

  test("shows factors and sessions, and nothing that anybody could use", async () => {
    const house = await openHouse();
    const handle = handleOf(await house.enter());
    const { secret, recoveryCodes } = await house.enrol(handle);
    await house.ask(handle, "account/app-passwords", { name: "tablet" });
    const pages = [
      await house.ask(handle, "account"),
      await house.ask(handle, "account/factors"),
      await house.ask(handle, "account/sessions"),
    ];
    const text = JSON.stringify(pages);
    assert.match(text, /phone.*tablet/s);
    for (const hidden of [secret.toString("base64url"), handle, ...recoveryCodes]) {
      assert.ok(!text.includes(hidden));
    }
    assert.ok(!/digest|secret/.test(text));
  });

  test("W8 changes of factors need the password given lately", async () => {
    const house = await openHouse();
    const handle = handleOf(await house.enter());
    await house.clock.advance(10 * minuteMs);
    const guarded: readonly (readonly [string, object])[] = [
      ["account/totp/begin", {}],
      ["account/passkeys/begin", {}],
      ["account/factors/remove", { id: "x" }],
      ["account/recovery-codes", {}],
      ["account/app-passwords", { name: "x" }],
    ];
    for (const [path, body] of guarded) {
      assert.deepEqual(await house.ask(handle, path, body), problem("confirm", 403), path);
    }
    const wrong = await house.ask(handle, "account/confirm", { password: "wrong" });
    assert.deepEqual(wrong, problem("wrong-password", 403));
    assert.equal((await house.ask(handle, "account/totp/begin", {})).status, 403);
    assert.equal((await house.ask(handle, "account/confirm", { password })).status, 200);
    assert.equal((await house.ask(handle, "account/totp/begin", {})).status, 200);
  });

  test("W10 the password is not guessed from a session that was left open", async () => {
    const house = await openHouse();
    const handle = handleOf(await house.enter());
    const outcomes = new Set<number>();
    for (let round = 0; round < 30; round += 1) {
      const guess = { password: `guess ${round}` };
      outcomes.add((await house.ask(handle, "account/confirm", guess)).status);
    }
    assert.deepEqual([...outcomes], [403, 429]);
  });

  test("W8 a new password needs the old one and ends every other session", async () => {
    const house = await openHouse({ keepPasswords: true });
    const [own, other] = [handleOf(await house.enter()), handleOf(await house.enter(true))];
    const change = (old: string, next: string) =>
      house.ask(own, "account/password", { old, new: next });
    assert.deepEqual(await change("wrong", "another horse"), problem("wrong-password", 403));
    assert.deepEqual(await change(password, "short"), problem("weak-password", 400));
    assert.ok(house.sessions.peek(other));
    assert.equal((await change(password, "another horse")).status, 200);
    assert.ok(house.sessions.peek(own));
    assert.equal(house.sessions.peek(other), undefined);
    assert.deepEqual(house.sessions.signOn(own), { name: ana, password: "another horse" });
    assert.equal(reasonOf(await house.enter()), "refused");
    assert.equal(reasonOf(await house.enter(false, "another horse")), "ok");
  });

  test("enrols an authenticator app, once its code was right, and ends other sessions (W8)", async () => {
    const house = await openHouse();
    const [own, other] = [handleOf(await house.enter()), handleOf(await house.enter())];
    const early = await house.ask(own, "account/totp/finish", { name: "x", code: "123456" });
    assert.deepEqual(early, problem("not-begun", 409));
    const begun = (await house.ask(own, "account/totp/begin", {})).body as Record<string, string>;
    assert.match(begun["uri"] ?? "", /^otpauth:\/\/totp\/mail\.example\.org:ana%40example\.org\?/);
    const wrong = await house.ask(own, "account/totp/finish", { name: "x", code: "000000" });
    assert.deepEqual(wrong, problem("wrong-code", 400));
    assert.equal(reasonOf(await house.enter()), "ok", "not before it is finished");
    const { recoveryCodes } = await house.enrol(own);
    assert.equal(recoveryCodes.length, 10);
    assert.equal(house.sessions.peek(other), undefined);
    assert.ok(house.sessions.peek(own));
    assert.equal((await house.enrol(own)).recoveryCodes.length, 0, "only with the first");
  });

  test("the code of the enrolment does no second time", async () => {
    const house = await openHouse();
    const { secret } = await house.enrol(handleOf(await house.enter()));
    const code = totpCode(secret, totpStep(house.clock.nowMs()));
    assert.equal(reasonOf(await house.code(pendingOf(await house.enter()), code)), "second-factor");
  });

  test("enrols a passkey for the host of the page, each once", async () => {
    const house = await openHouse();
    const handle = handleOf(await house.enter());
    const authenticator = new SoftAuthenticator(`https://${host}`);
    const begin = async (): Promise<string> => {
      const { body } = await house.ask(handle, "account/passkeys/begin", {});
      return JSON.stringify((body as { options: object }).options);
    };
    const finish = (credential: string) =>
      house.ask(handle, "account/passkeys/finish", { name: "key", credential });
    const evil = authenticator.create(await begin(), { origin: "https://evil.example" });
    assert.deepEqual(await finish(evil), problem("bad-passkey", 400));
    const good = authenticator.create(await begin());
    assert.equal((await finish(good)).status, 200);
    assert.deepEqual(await finish(good), problem("not-begun", 409));
    const options = JSON.parse(await begin()) as { excludeCredentials: { id: string }[] };
    assert.deepEqual(
      options.excludeCredentials.map(({ id }) => id),
      [authenticator.credentials[1]?.id],
    );
  });

  test("takes factors away, and recovery codes are made anew", async () => {
    const house = await openHouse();
    const handle = handleOf(await house.enter());
    const none = await house.ask(handle, "account/recovery-codes", {});
    assert.deepEqual(none, problem("no-such", 404), "nothing to stand in for");
    const { recoveryCodes: old } = await house.enrol(handle);
    const made = (await house.ask(handle, "account/recovery-codes", {})).body as {
      codes: string[];
    };
    const pending = pendingOf(await house.enter());
    assert.equal(reasonOf(await house.code(pending, old[0] ?? "")), "second-factor");
    assert.equal(reasonOf(await house.code(pending, made.codes[0] ?? "")), "ok");
    const listed = (await house.ask(handle, "account/factors")).body as {
      factors: { id: string; kind: string }[];
    };
    const id = listed.factors.find(({ kind }) => kind === "totp")?.id ?? "";
    assert.equal((await house.ask(handle, "account/factors/remove", { id })).status, 200);
    assert.deepEqual((await house.ask(handle, "account/factors")).body, { factors: [] });
    assert.equal(reasonOf(await house.enter()), "ok");
    const gone = await house.ask(handle, "account/factors/remove", { id });
    assert.deepEqual(gone, problem("no-such", 404));
  });

  test("makes app passwords that programs enter by, until they are taken away", async () => {
    const house = await openHouse();
    const handle = handleOf(await house.enter());
    await house.enrol(handle);
    const made = (await house.ask(handle, "account/app-passwords", { name: "phone" })).body as {
      id: string;
      password: string;
    };
    const basic = async (given: string): Promise<string> => {
      const outcome = await house.login.basic(ana, given, from.clientAddress);
      return outcome.ok ? outcome.person.address : outcome.reason;
    };
    assert.equal(await basic(password), "refused", "it has a second factor");
    assert.equal(await basic(made.password), ana);
    await house.ask(handle, "account/factors/remove", { id: made.id });
    assert.equal(await basic(made.password), "refused");
  });

  test("W8 ends sessions: one by its id, all others, all", async () => {
    const house = await openHouse();
    const [own, one, two] = [
      handleOf(await house.enter()),
      handleOf(await house.enter()),
      handleOf(await house.enter(true)),
    ];
    const { sessions } = (await house.ask(own, "account/sessions")).body as {
      sessions: { id: string; isOwn: boolean }[];
    };
    assert.deepEqual(
      sessions.map(({ isOwn }) => isOwn),
      [true, false, false],
    );
    const id = sessions[1]?.id;
    assert.equal((await house.ask(own, "account/sessions/end", { id })).status, 200);
    assert.deepEqual(await house.ask(own, "account/sessions/end", { id }), problem("no-such", 404));
    assert.equal(house.sessions.peek(one), undefined);
    const others = await house.ask(own, "account/sessions/end-others", {});
    assert.deepEqual(others.body, { ended: 1 });
    assert.equal(house.sessions.peek(two), undefined);
    assert.equal((await house.ask(own, "account/sessions/end-all", {})).status, 200);
    assert.equal(house.sessions.peek(own), undefined);
  });

  test("takes only what has its shape, whatever comes (fuzz)", async () => {
    const house = await openHouse();
    const handle = handleOf(await house.enter());
    const random = seededRandom(41);
    const paths = [
      "session/extend confirm password totp/begin totp/finish passkeys/begin passkeys/finish",
      "factors/remove recovery-codes sessions/end __proto__ constructor toString x/../y",
    ].flatMap((line) => line.split(" "));
    const values: readonly unknown[] = [
      undefined,
      null,
      0,
      "",
      "x".repeat(20_000),
      [],
      {},
      { name: "x".repeat(65), code: "1" },
      { name: " ", code: "1" },
      { id: 7 },
      { id: "__proto__", more: 1 },
      JSON.parse('{"__proto__": {"id": "x"}}'),
      { password: {} },
      { name: "x", credential: "{".repeat(16_000) },
      { old: "", new: [] },
    ];
    for (let round = 0; round < 2000; round += 1) {
      const path = `account/${paths[pick(random, paths.length)]}`;
      const method = ["GET", "POST", "HEAD"][pick(random, 3)] ?? "";
      const body = values[pick(random, values.length)];
      const { status } = await answerAccount(house.account, {
        method,
        path,
        handle,
        ...from,
        body,
      });
      assert.ok([200, 400, 403, 404, 409, 429].includes(status), `${method} ${path} ${status}`);
      if (house.sessions.peek(handle) === undefined) assert.fail(`${path} ended the session`);
    }
    assert.deepEqual(
      house.directory.factors(house.id).filter(({ kind }) => kind === "totp"),
      [],
    );
  });
});
