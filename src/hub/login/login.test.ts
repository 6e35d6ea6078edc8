import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { totpCode, totpStep } from "#access/factors";
import { pick, seededRandom } from "#base/random";
import { linkPair } from "#contracts/link";
import type { WebLogin, WebLoginOutcome } from "#contracts/web";
import { SoftAuthenticator } from "../../../tests/kit/authenticator.ts";
import {
  ana,
  from,
  type House,
  type HouseOptions,
  handleOf,
  host,
  openHouse,
  password,
  pendingOf,
  reasonOf,
} from "./fixture.test.ts";

const stepMs = 30_000;

interface Enrolled {
  readonly house: House;
  /** What the app shows now. */
  digits(): string;
  readonly recoveryCodes: readonly string[];
}

async function withTotp(options: HouseOptions = {}): Promise<Enrolled> {
  const house = await openHouse(options);
  const { secret, recoveryCodes } = await house.enrol(handleOf(await house.enter()));
  await house.clock.advance(stepMs); // the code of the enrolment is used up
  const digits = (): string => totpCode(secret, totpStep(house.clock.nowMs()));
  return { house, digits, recoveryCodes };
}

/** Digits that are no code of now. */
const wrong = "000000";

async function withPasskey(options: HouseOptions = {}) {
  const house = await openHouse(options);
  const authenticator = new SoftAuthenticator(`https://${host}`);
  const handle = handleOf(await house.enter());
  const begun = await house.ask(handle, "account/passkeys/begin", {});
  const { options: wanted } = begun.body as { options: object };
  const credential = authenticator.create(JSON.stringify(wanted));
  const done = await house.ask(handle, "account/passkeys/finish", { name: "key", credential });
  assert.equal(done.status, 200, JSON.stringify(done));
  const challenge = async (pending?: string, publicComputer = false) => {
    const more = pending === undefined ? {} : { pending };
    const outcome = await house.login.step({
      ...{ step: "passkey-challenge", publicComputer, ...more, ...from },
    });
    assert.ok(!outcome.ok && outcome.reason === "challenge", JSON.stringify(outcome));
    return outcome;
  };
  const answer = (pending: string, credentialText: string, at = host): Promise<WebLoginOutcome> =>
    house.login.step({ step: "passkey", pending, credential: credentialText, ...from, host: at });
  return { house, authenticator, challenge, answer };
}

describe("a login by password", () => {
  test("W8 makes a new session each time, for the computer that was named", async () => {
    const house = await openHouse();
    const own = await house.enter();
    const publicOne = await house.enter(true);
    assert.notEqual(handleOf(own), handleOf(publicOne));
    assert.ok(own.ok && publicOne.ok);
    assert.deepEqual([own.idleSeconds, own.absoluteSeconds], [900, 28_800]);
    assert.deepEqual([publicOne.idleSeconds, publicOne.absoluteSeconds], [600, 3600]);
    assert.equal(house.sessions.peek(publicOne.session)?.publicComputer, true);
  });

  test("is refused alike for a wrong password and an unknown name", async () => {
    const house = await openHouse();
    const refused = { ok: false, reason: "refused" };
    assert.deepEqual(await house.enter(false, "wrong"), refused);
    assert.deepEqual(await house.enter(false, password, "nobody@example.org"), refused);
    assert.deepEqual(await house.enter(false, password, "x\0y"), refused);
  });

  test("keeps what single sign-on needs, through a second factor too", async () => {
    const { house, digits } = await withTotp({ keepPasswords: true });
    const pending = pendingOf(await house.enter());
    const handle = handleOf(await house.code(pending, digits()));
    assert.deepEqual(house.sessions.signOn(handle), { name: ana, password });
  });
});

describe("a second factor by code", () => {
  test("is asked for after the right password only, and leads in once", async () => {
    const { house, digits } = await withTotp();
    assert.deepEqual(await house.enter(false, "wrong"), { ok: false, reason: "refused" });
    const asked = await house.enter(true);
    assert.ok(!asked.ok && asked.reason === "second-factor");
    assert.deepEqual(asked.factors, ["code"]);
    assert.match(asked.pending, /^[\w-]{43}$/);
    const done = await house.code(asked.pending, digits());
    assert.ok(done.ok && done.publicComputer, "the computer is the one of the first step");
    const used = await house.code(asked.pending, digits());
    assert.equal(reasonOf(used), "refused", "single use");
  });

  test("takes each code once, whichever login it comes with (RFC 6238 §5.2)", async () => {
    const { house, digits } = await withTotp();
    const [one, other] = [pendingOf(await house.enter()), pendingOf(await house.enter())];
    assert.equal(reasonOf(await house.code(one, digits())), "ok");
    assert.equal(reasonOf(await house.code(other, digits())), "second-factor");
    await house.clock.advance(stepMs);
    assert.equal(reasonOf(await house.code(other, digits())), "ok");
  });

  test("makes one session of two codes that come at the same moment", async () => {
    const { house, digits, recoveryCodes } = await withTotp();
    const pending = pendingOf(await house.enter());
    const both = await Promise.all([
      house.code(pending, digits()),
      house.code(pending, recoveryCodes[0] ?? ""),
    ]);
    assert.deepEqual(both.map(reasonOf).sort(), ["ok", "refused"]);
  });

  test("takes each recovery code once, however it is typed", async () => {
    const { house, recoveryCodes } = await withTotp();
    assert.equal(recoveryCodes.length, 10);
    const typed = recoveryCodes[3]?.toUpperCase().replaceAll("-", " ") ?? "";
    assert.equal(reasonOf(await house.code(pendingOf(await house.enter()), typed)), "ok");
    const again = await house.code(pendingOf(await house.enter()), typed);
    assert.equal(reasonOf(again), "second-factor");
    const left = house.directory.factors(house.id).find((one) => one.kind === "recovery-codes");
    assert.equal(left?.kind === "recovery-codes" && left.digests.length, 9);
  });

  test("gives five tries, and then the login begins anew", async () => {
    const { house, digits } = await withTotp();
    const pending = pendingOf(await house.enter());
    const outcomes = [];
    for (let round = 0; round < 5; round += 1) {
      outcomes.push(reasonOf(await house.code(pending, wrong)));
    }
    assert.deepEqual(outcomes, [...Array(4).fill("second-factor"), "refused"]);
    assert.equal(reasonOf(await house.code(pending, digits())), "refused");
  });

  test("waits five minutes, at the same host, for nobody else", async () => {
    const { house, digits } = await withTotp();
    const pending = pendingOf(await house.enter());
    const step = { step: "code", pending, ...from } as const;
    const elsewhere = await house.login.step({ ...step, code: digits(), host: "other.example" });
    assert.equal(reasonOf(elsewhere), "refused");
    for (const other of ["", "x", `${pending.slice(1)}A`, pending.toLowerCase()]) {
      assert.equal(reasonOf(await house.code(other, digits())), "refused");
    }
    await house.clock.advance(300_000);
    assert.equal(reasonOf(await house.code(pending, digits())), "refused");
  });

  test("W10 slows down who has the password and guesses, and not the owner's own network", async () => {
    const { house, digits } = await withTotp();
    assert.equal(reasonOf(await house.code(pendingOf(await house.enter()), digits())), "ok");
    await house.clock.advance(stepMs);
    const outcomes = new Map<string, number>();
    for (let round = 0; round < 300; round += 1) {
      const clientAddress = `198.51.100.${round % 250}`;
      const login = { name: ana, password, publicComputer: false, host, clientAddress };
      const asked = await house.login.step({ step: "password", ...login });
      if (reasonOf(asked) !== "second-factor") continue;
      const given = { pending: pendingOf(asked), code: wrong, clientAddress, host };
      const said = reasonOf(await house.login.step({ step: "code", ...given }));
      outcomes.set(said, (outcomes.get(said) ?? 0) + 1);
    }
    assert.deepEqual(
      [...outcomes],
      [
        ["second-factor", 10],
        ["slow-down", 290],
      ],
    );
    assert.equal(reasonOf(await house.code(pendingOf(await house.enter()), digits())), "ok");
  });

  test("is not pushed out by who begins many logins from elsewhere", async () => {
    const { house, digits } = await withTotp();
    const pending = pendingOf(await house.enter());
    const login = { step: "password", name: ana, password, publicComputer: false, host } as const;
    for (let round = 0; round < 200; round += 1) {
      await house.login.step({ ...login, clientAddress: `198.51.100.${round % 5}` });
    }
    assert.equal(reasonOf(await house.code(pending, digits())), "ok");
    const [first, ...later] = await Promise.all(Array.from({ length: 11 }, () => house.enter()));
    await house.clock.advance(stepMs);
    assert.ok(first && later[0]);
    assert.equal(reasonOf(await house.code(pendingOf(first), digits())), "refused", "one too many");
    assert.equal(reasonOf(await house.code(pendingOf(later[0]), digits())), "ok");
  });

  test("ends with the login when password or factors change meanwhile", async () => {
    const { house, digits } = await withTotp();
    const pending = pendingOf(await house.enter());
    house.login.forget(house.id);
    assert.equal(reasonOf(await house.code(pending, digits())), "refused");
    const gone = pendingOf(await house.enter());
    await house.directory.removeAccount(ana, "test");
    assert.equal(reasonOf(await house.code(gone, digits())), "refused");
  });
});

describe("a passkey", () => {
  test("leads in alone, with the person verified", async () => {
    const { house, authenticator, challenge, answer } = await withPasskey();
    const asked = await challenge(undefined, true);
    const options = JSON.parse(asked.options) as Record<string, unknown>;
    assert.equal(options["userVerification"], "required");
    assert.equal(options["allowCredentials"], undefined, "nobody is named");
    const done = await answer(asked.pending, authenticator.get(asked.options));
    assert.ok(done.ok && done.publicComputer);
    assert.equal(house.sessions.peek(done.session)?.account, house.id);
    assert.deepEqual(house.sessions.signOn(done.session), { name: ana });
  });

  test("is used once for each challenge, right or wrong", async () => {
    const { authenticator, challenge, answer } = await withPasskey();
    const asked = await challenge();
    const good = authenticator.get(asked.options);
    assert.equal(reasonOf(await answer(asked.pending, good)), "ok");
    assert.equal(reasonOf(await answer(asked.pending, good)), "refused");
    const other = await challenge();
    const spoiled = authenticator.get(other.options, { spoil: 20 });
    assert.equal(reasonOf(await answer(other.pending, spoiled)), "refused");
    const late = authenticator.get(other.options);
    assert.equal(reasonOf(await answer(other.pending, late)), "refused");
  });

  test("says who it is only by a handle that it was made for", async () => {
    const { authenticator, challenge, answer } = await withPasskey();
    const asked = await challenge();
    const userHandle = Buffer.from("0".repeat(32)).toString("base64url");
    const lying = authenticator.get(asked.options, { userHandle });
    assert.equal(reasonOf(await answer(asked.pending, lying)), "refused");
    const unverified = await challenge();
    const touched = authenticator.get(unverified.options, { verified: false });
    assert.equal(reasonOf(await answer(unverified.pending, touched)), "refused");
  });

  test("that was copied shows by its counter, and one that counts nothing is fine", async () => {
    const { authenticator, challenge, answer } = await withPasskey();
    const one = await challenge();
    assert.equal(reasonOf(await answer(one.pending, authenticator.get(one.options))), "ok");
    authenticator.counts = false;
    const copy = await challenge();
    assert.equal(reasonOf(await answer(copy.pending, authenticator.get(copy.options))), "refused");
    const synced = await withPasskey();
    synced.authenticator.counts = false;
    for (let round = 0; round < 2; round += 1) {
      const asked = await synced.challenge();
      const given = synced.authenticator.get(asked.options);
      assert.equal(reasonOf(await synced.answer(asked.pending, given)), "ok");
    }
  });

  test("is a second factor where the password came first", async () => {
    const { house, authenticator, challenge, answer } = await withPasskey();
    const asked = await house.enter();
    assert.ok(!asked.ok && asked.reason === "second-factor");
    assert.deepEqual(asked.factors, ["code", "passkey"], "recovery codes are codes");
    const given = await challenge(asked.pending);
    assert.equal(given.pending, asked.pending);
    const known = JSON.parse(given.options) as { allowCredentials: { id: string }[] };
    assert.deepEqual(
      known.allowCredentials.map(({ id }) => id),
      [authenticator.credentials[0]?.id],
    );
    const spoiled = authenticator.get(given.options, { spoil: 20 });
    assert.equal(reasonOf(await answer(asked.pending, spoiled)), "second-factor");
    const again = await challenge(asked.pending);
    const done = await answer(asked.pending, authenticator.get(again.options, { verified: false }));
    assert.ok(done.ok);
  });

  test("is good for published hosts alone", async () => {
    const { house, authenticator, challenge, answer } = await withPasskey();
    const step = { step: "passkey-challenge", publicComputer: false } as const;
    const elsewhere = await house.login.step({ ...step, ...from, host: "evil.example" });
    assert.equal(reasonOf(elsewhere), "refused");
    const asked = await challenge();
    const moved = await answer(asked.pending, authenticator.get(asked.options), "evil.example");
    assert.equal(reasonOf(moved), "refused");
  });
});

describe("where everybody needs a second factor", () => {
  test("the first login leads into enrolment and nowhere else", async () => {
    const house = await openHouse({ settings: { requireSecondFactor: true } });
    const handle = handleOf(await house.enter());
    assert.equal(house.sessions.touch(handle), undefined, "no mail, no published application");
    const times = await house.ask(handle, "session");
    assert.equal((times.body as { mustEnrol: boolean }).mustEnrol, true);
    const made = await house.ask(handle, "account/app-passwords", { name: "phone" });
    assert.deepEqual(made.body, { type: "urn:postern:account:enrol", status: 403 });
    const { secret } = await house.enrol(handle);
    assert.equal(house.sessions.peek(handle, "enrolling"), undefined, "it is over");
    await house.clock.advance(stepMs);
    const pending = pendingOf(await house.enter());
    const code = totpCode(secret, totpStep(house.clock.nowMs()));
    const session = handleOf(await house.code(pending, code));
    assert.ok(house.sessions.touch(session), "now everything");
  });
});

describe("handle()", () => {
  const ask = async (house: House, header: object): Promise<unknown> => {
    const links = linkPair();
    links[1].onStream((stream) => house.login.handle(stream));
    return links[0].open("login", header).answered.catch((error: Error) => error.message);
  };

  test("answers a step over the link and ends a session on logout", async () => {
    const house = await openHouse();
    const step = { step: "password", name: ana, password, publicComputer: false, ...from };
    const outcome = (await ask(house, step)) as WebLoginOutcome;
    const session = handleOf(outcome);
    const links = linkPair();
    links[1].onStream((stream) => house.login.handle(stream));
    links[0].open("logout", { session });
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(house.sessions.peek(session), undefined);
  });

  test("aborts what is no step, whole and alone", async () => {
    const house = await openHouse();
    const good = { step: "password", name: ana, password, publicComputer: false, ...from };
    const pending = "a".repeat(43);
    const bad: readonly object[] = [
      {},
      { ...good, step: "other" },
      { ...good, more: 1 },
      { ...good, publicComputer: "no" },
      { ...good, password: "x".repeat(1025) },
      { ...good, host: "mail.example.org/" },
      { ...good, name: null },
      { step: "code", pending: "short", code: "1", ...from },
      { step: "code", pending, code: 1, ...from },
      { step: "passkey", pending, credential: "x".repeat(16_385), ...from },
      { step: "oidc", pending, query: "x".repeat(8193), ...from },
    ];
    for (const header of bad) assert.match(String(await ask(house, header)), /malformed login/);
  });
});

test("no step throws or lets anybody in, whatever stands in it (fuzz)", async () => {
  const { house } = await withTotp({
    limits: { accountFailures: 1e6, networkFailures: 1e6, codeFailures: 1e6 },
  });
  const random = seededRandom(17);
  const text = (): string => {
    const length = pick(random, 3) === 0 ? pick(random, 2000) : pick(random, 40);
    const unit = (): string =>
      String.fromCharCode(pick(random, 4) === 0 ? pick(random, 65_536) : 32 + pick(random, 95));
    return Array.from({ length }, unit).join("");
  };
  const reasons = new Set<string>();
  for (let round = 0; round < 600; round += 1) {
    const second = pendingOf(await house.enter());
    const anonymous = pendingOf(
      await house.login.step({ step: "passkey-challenge", publicComputer: true, ...from }),
    );
    const pending = [second, anonymous, text()][round % 3] ?? "";
    const given: readonly WebLogin[] = [
      { step: "password", name: text(), password: text(), publicComputer: false, ...from },
      { step: "password", name: ana, password: text(), publicComputer: false, ...from },
      { step: "code", pending, code: text(), ...from },
      { step: "passkey", pending, credential: text(), ...from },
      { step: "passkey-challenge", pending, publicComputer: true, ...from },
      { step: "oidc", pending, query: text(), ...from },
      { step: "oidc-start", publicComputer: true, ...from, host: text() },
    ];
    for (const step of given) reasons.add(reasonOf(await house.login.step(step)));
  }
  assert.deepEqual([...reasons].sort(), ["refused", "second-factor"]);
});
