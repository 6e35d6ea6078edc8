import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { silentLog } from "#base/log";
import type { OpenDirectory } from "#directory";
import { fakeClock } from "../../../tests/kit/fake-clock.ts";
import { withLastUses } from "./last-uses.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-uses-"));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, "uses.json");

const ids = ["phone", "laptop"];
const removed = new Set<string>();
const directory = {
  login: async (name: string, password: string) => ({
    ok: true,
    person: { id: name },
    ...(ids.includes(password) && { appPassword: password }),
  }),
  hasAppPassword: (_account: string, id: string) => ids.includes(id) && !removed.has(id),
  factors: () => [
    { kind: "totp", id: "app", usedAtMs: 7 },
    ...ids.map((id) => ({ kind: "app-password", id, name: id, addedAtMs: 1 })),
  ],
} as unknown as OpenDirectory;

const clock = fakeClock(1_800_000_000_000);
const opened = (): OpenDirectory => withLastUses(directory, { path, clock, log: silentLog });
const usesOf = (one: OpenDirectory): unknown =>
  one.factors("ana").map(({ id, usedAtMs }) => [id, usedAtMs]);

/** Once it has been written; the test runner's own limit ends a wait that is in vain. */
async function kept(expected: RegExp): Promise<void> {
  while (!existsSync(path) || !expected.test(readFileSync(path, "utf8"))) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe("the last use of app passwords", () => {
  test("is known at once, is kept over a restart, and changes once an hour", async () => {
    const first = opened();
    const sinceMs = clock.nowMs();
    await first.login("ana", "the password itself", "imap", "192.0.2.1");
    assert.ok(!existsSync(path));
    await first.login("ana", "phone", "imap", "192.0.2.1");
    const expected = [
      ["app", 7],
      ["phone", sinceMs],
      ["laptop", undefined],
    ];
    assert.deepEqual(usesOf(first), expected);
    await clock.advance(3_599_000);
    await first.login("ana", "phone", "imap", "192.0.2.1");
    assert.deepEqual(usesOf(first), expected);
    await kept(/phone/);
    assert.deepEqual(usesOf(opened()), expected);
    await clock.advance(1000);
    await first.login("ana", "phone", "imap", "192.0.2.1");
    assert.deepEqual(usesOf(first), expected.with(1, ["phone", sinceMs + 3_600_000]));
    await clock.advance(60_000);
    await kept(new RegExp(String(sinceMs + 3_600_000)));
  });

  test("of one that was removed goes with the next that is written", async () => {
    removed.add("phone");
    await opened().login("ana", "laptop", "submission", "192.0.2.1");
    await kept(/laptop/);
    assert.doesNotMatch(readFileSync(path, "utf8"), /phone/);
  });

  test("a file of another kind costs nobody the login", async () => {
    for (const text of ["", "{}", "[1]", '[["a","b","c"]]']) {
      writeFileSync(path, text);
      const one = opened();
      assert.ok((await one.login("ana", "laptop", "imap", "192.0.2.1")).ok);
      await kept(/^\[\["ana","laptop",\d+\]\]$/);
    }
  });
});
