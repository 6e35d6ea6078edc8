import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { createSessions } from "#access/sessions";
import type { Clock } from "#base/clock";
import { seededRandom } from "#base/random";

const minute = 60_000;
const signOn = { name: "ada@example.org", password: "correct horse" };
const facts = { publicComputer: false, clientAddress: "192.0.2.1", signOn };

function start(
  limits: { mostPerAccount?: number; mostInAll?: number; keepPasswords?: boolean } = {},
) {
  let tick = 0;
  const timers: (() => void)[] = [];
  const clock: Clock = {
    nowMs: () => 1_000_000 + tick,
    tickMs: () => tick,
    after(_delayMs, run) {
      timers.push(run);
      return { cancel() {} };
    },
  };
  const sessions = createSessions({
    clock,
    random: seededRandom(5),
    idleMs: 30 * minute,
    absoluteMs: 90 * minute,
    publicIdleMs: 5 * minute,
    publicAbsoluteMs: 20 * minute,
    ...limits,
  });
  const wait = (ms: number): void => {
    tick += ms;
  };
  return { sessions, wait, sweep: () => timers.shift()?.() };
}

describe("W8 createSessions()", () => {
  test("issues handles of 32 random octets that lead back to the account", () => {
    const { sessions } = start();
    const { handle } = sessions.issue("ada", facts);
    assert.match(handle, /^[\w-]{43}$/);
    const session = sessions.touch(handle);
    assert.equal(session?.account, "ada");
    assert.doesNotMatch(inspect(sessions.list("ada"), { depth: 9 }), new RegExp(handle));
  });

  test("knows no other handle", () => {
    const { sessions } = start();
    const { handle } = sessions.issue("ada", facts);
    for (const other of ["", "x", `${handle.slice(1)}A`, handle.toLowerCase(), "é".repeat(1e5)]) {
      assert.equal(sessions.touch(other), undefined);
    }
  });

  test("ends without use, and after the absolute time whatever the use", () => {
    const { sessions, wait } = start();
    const idle = sessions.issue("ada", facts).handle;
    wait(30 * minute);
    assert.equal(sessions.touch(idle), undefined);
    const busy = sessions.issue("ada", facts).handle;
    for (let round = 0; round < 4; round += 1) {
      wait(20 * minute);
      assert.ok(sessions.touch(busy), `round ${round}`);
    }
    wait(10 * minute);
    assert.equal(sessions.touch(busy), undefined);
  });

  test("is shorter on a public computer, and tells how long it lasts", () => {
    const { sessions, wait } = start();
    const issued = sessions.issue("ada", { ...facts, publicComputer: true });
    assert.deepEqual([issued.idleMs, issued.absoluteMs], [5 * minute, 20 * minute]);
    assert.equal(sessions.touch(issued.handle)?.expiresAtMs, 1_000_000 + 5 * minute);
    wait(5 * minute);
    assert.equal(sessions.touch(issued.handle), undefined);
  });

  test("revokes one, or all of an account and nobody else's", () => {
    const { sessions } = start();
    const [one, two] = [sessions.issue("ada", facts).handle, sessions.issue("ada", facts).handle];
    const bob = sessions.issue("bob", facts).handle;
    assert.equal(sessions.revoke(one), true);
    assert.equal(sessions.revoke(one), false);
    assert.equal(sessions.touch(one), undefined);
    assert.equal(sessions.revokeAll("ada"), 1);
    assert.equal(sessions.touch(two), undefined);
    assert.ok(sessions.touch(bob));
  });

  test("lists them by ids that are no handles, and ends one by it, or all but one (W8)", () => {
    const { sessions } = start();
    const own = sessions.issue("ada", facts).handle;
    const other = sessions.issue("ada", { ...facts, publicComputer: true }).handle;
    const bob = sessions.issue("bob", facts).handle;
    const [first, second] = sessions.list("ada", own);
    assert.deepEqual([first?.isOwn, second?.isOwn, second?.publicComputer], [true, false, true]);
    assert.equal(sessions.touch(second?.id ?? ""), undefined);
    assert.equal(sessions.revokeOne("bob", second?.id ?? ""), false, "another's");
    assert.equal(sessions.revokeOne("ada", second?.id ?? ""), true);
    assert.equal(sessions.touch(other), undefined);
    sessions.issue("ada", facts);
    assert.equal(sessions.revokeAll("ada", own), 1);
    assert.ok(sessions.touch(own) && sessions.touch(bob));
  });

  test("keeps what single sign-on needs, the password only sealed and only when it is asked to", () => {
    const { sessions } = start();
    assert.deepEqual(sessions.signOn(sessions.issue("ada", facts).handle), { name: signOn.name });
    const keeping = start({ keepPasswords: true });
    const { handle } = keeping.sessions.issue("ada", facts);
    assert.deepEqual(keeping.sessions.signOn(handle), signOn);
    assert.equal(keeping.sessions.signOn(`${handle.slice(1)}A`), undefined);
    const byPasskey = keeping.sessions.issue("ada", { ...facts, signOn: { name: signOn.name } });
    assert.deepEqual(keeping.sessions.signOn(byPasskey.handle), { name: signOn.name });
    keeping.sessions.revoke(handle);
    assert.equal(keeping.sessions.signOn(handle), undefined);
  });

  test("a session for enrolling is found only by who asks for such", () => {
    const { sessions } = start({ keepPasswords: true });
    const { handle } = sessions.issue("ada", { ...facts, enrolling: true });
    assert.equal(sessions.touch(handle), undefined);
    assert.equal(sessions.peek(handle), undefined);
    assert.equal(sessions.signOn(handle), undefined);
    assert.equal(sessions.touch(handle, "enrolling")?.enrolling, true);
  });

  test("is confirmed for ten minutes, and again when the password is given again", () => {
    const { sessions, wait } = start();
    const { handle } = sessions.issue("ada", facts);
    assert.equal(sessions.peek(handle)?.isConfirmed, true);
    wait(10 * minute);
    assert.equal(sessions.touch(handle)?.isConfirmed, false, "use is no proof");
    sessions.confirm(handle);
    assert.equal(sessions.peek(handle)?.isConfirmed, true);
  });

  test("peek prolongs nothing, and what ended is swept out unasked", () => {
    const { sessions, wait, sweep } = start();
    const { handle } = sessions.issue("ada", facts);
    wait(29 * minute);
    assert.equal(sessions.peek(handle)?.expiresAtMs, 1_000_000 + 30 * minute);
    assert.equal(sessions.peek(handle)?.endsAtMs, 1_000_000 + 90 * minute);
    sweep();
    assert.equal(sessions.list("ada").length, 1);
    wait(minute);
    sweep();
    assert.equal(sessions.revokeAll("ada"), 0, "nothing is left");
  });

  test("keeps a bounded number: the one used longest ago gives way", () => {
    const { sessions, wait } = start({ mostPerAccount: 2, mostInAll: 3 });
    const one = sessions.issue("ada", facts).handle;
    wait(1);
    const two = sessions.issue("ada", facts).handle;
    wait(1);
    sessions.touch(one);
    sessions.issue("ada", facts);
    assert.equal(sessions.touch(two), undefined);
    assert.equal(sessions.list("ada").length, 2);
    for (const other of ["b", "c", "d"]) sessions.issue(other, facts);
    const left = ["ada", "b", "c", "d"].reduce((sum, who) => sum + sessions.list(who).length, 0);
    assert.equal(left, 3);
    assert.ok(sessions.list("d").length === 1);
  });
});
