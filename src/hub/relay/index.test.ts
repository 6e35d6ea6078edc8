/** The doors inside, opened as the hub opens them. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "#base/clock";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { systemRandom } from "#base/random";
import { smtpParameters } from "#transport/smtp-server";
import { type InsideDoorPorts, openInsideDoors } from "./index.ts";

test("a connection that the LMTP socket cannot accept does not end the program", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "postern-lmtp-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "socket");
  const seen = t.mock.method(Server.prototype, "listen");
  const ports = {
    inside: {
      ...{ clock: systemClock, random: systemRandom, log: silentLog, registry: new Registry() },
      settings: {
        ...{ hostname: "mail.example.org", domain: "example.org", listen: { lmtp: { path } } },
        smtp: { ...defaultsOf(smtpParameters), greetingDelayMs: 0 },
      },
    },
    edges: { smtp: { forKind: () => undefined } },
  };
  await using _doors = await openInsideDoors(ports as unknown as InsideDoorPorts);
  const listener = seen.mock.calls[0]?.this;
  assert.ok(listener instanceof Server);
  for (let nth = 0; nth < 2; nth += 1) listener.emit("error", new Error("accept EMFILE"));
  const socket = connect(path);
  const [greeting] = await socket.take(1).toArray();
  assert.match(String(greeting), /^220 /);
});
