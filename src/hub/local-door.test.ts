/** The local door by itself: whose names programs of the machine may use, and what its socket stands. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, beforeEach, describe, mock, test } from "node:test";
import { systemClock } from "#base/clock";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { systemRandom } from "#base/random";
import { smtpParameters } from "#transport/smtp-server";
import type { Inside } from "./inside.ts";
import { openLocalDoor } from "./local-door.ts";

const ana = "ana@example.org";
const folder = mkdtempSync(join(tmpdir(), "postern-local-"));
const path = join(folder, "socket");
/** Recipients of each message that was taken. */
const taken: string[][] = [];
let listener: Server | undefined;
let door: AsyncDisposable;

before(async () => {
  const seen = mock.method(Server.prototype, "listen");
  const inside = {
    ...{ clock: systemClock, random: systemRandom, log: silentLog, registry: new Registry() },
    directory: {
      isLocalDomain: (domain: string) => domain === "example.org",
      resolve: (to: string) =>
        [ana, "postmaster@example.org"].includes(to) ? [{ kind: "account", account: "ana" }] : [],
    },
    gateways: { domains: [], ask: async () => "unknown" as const },
    settings: {
      ...{ hostname: "example.org", domain: "example.org", listen: { local: path } },
      smtp: { ...defaultsOf(smtpParameters), greetingDelayMs: 0 },
      sendmail: { senders: ["shop@example.org"], usersTo: "" },
    },
  };
  door = await openLocalDoor({
    inside: inside as unknown as Inside,
    outgoing: {
      async send({ envelope }) {
        taken.push(envelope.recipients.map((one) => one.path));
        return { code: 250, text: "taken" };
      },
    },
  });
  const opened = seen.mock.calls[0]?.this;
  assert.ok(opened instanceof Server);
  listener = opened;
  seen.mock.restore();
});
beforeEach(() => void taken.splice(0));
after(async () => {
  await door[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** What is answered to the greeting, EHLO and each line. */
async function speak(...lines: readonly string[]): Promise<readonly string[]> {
  const socket = connect(path);
  const left = ["EHLO localhost", ...lines, "QUIT"];
  const replies: string[] = [];
  for await (const line of createInterface({ input: socket })) {
    if (line[3] === "-") continue;
    replies.push(line);
    const next = left.shift();
    if (next !== undefined) socket.write(`${next}\r\n`);
  }
  return replies.slice(2);
}

describe("a host name that is a domain of ours, too", () => {
  for (const [from, expected] of [
    [ana, /^550 5\.7\.1 /],
    ["postmaster@example.org", /^550 5\.7\.1 /],
    ["root@example.org", /^250 /],
    ["shop@example.org", /^250 /],
  ] as const) {
    test(`A2 programs write as users of the machine, never as people: ${from}`, async () => {
      const [said] = await speak(`MAIL FROM:<${from}>`);
      assert.match(said ?? "", expected);
    });
  }

  for (const [to, whose] of [
    [ana, ana],
    ["root@example.org", "postmaster@example.org"],
  ] as const) {
    test(`mail to ${to} is for ${whose}`, async () => {
      const content = "Subject: x\r\n\r\nx\r\n.";
      await speak("MAIL FROM:<root@example.org>", `RCPT TO:<${to}>`, "DATA", content);
      assert.deepEqual(taken, [[whose]]);
    });
  }
});

test("connections that cannot be accepted do not end the program", async () => {
  for (let nth = 0; nth < 2; nth += 1) listener?.emit("error", new Error("accept EMFILE"));
  assert.match((await speak("NOOP"))[0] ?? "", /^250 /);
});
