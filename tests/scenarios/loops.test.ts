/** Two installations whose aliases point at each other: mail ends soon, with one notice or none (S15). */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type FakeDns, startFakeDns } from "../kit/fake-dns.ts";
import { type Installation, startInstallation } from "../kit/installation.ts";
import { mailboxMarkers } from "../kit/mailbox-markers.ts";
import { plainMessage, sendMail } from "../kit/smtp-dialogue.ts";

let dns: FakeDns;
/** Stands for beta's port, which is not known when alpha starts. */
let way: Server;
let alpha: Installation;
let beta: Installation;

const configOf = (site: string, peer: string, port: number): string => `${site}
[dns]
servers = ["127.0.0.1:${dns.endpoint.port}"]
[egress]
private = true
ports = ["${port}"]
[outbound.peer]
spaces = ["${peer}"]
hosts = ["127.0.0.1:${port}"]
`;

before(async () => {
  // Only a proven sender is told what became of his mail.
  dns = await startFakeDns({ "postern.test": [{ TXT: "v=spf1 ip4:127.0.0.1 -all" }] });
  way = createServer((socket) => {
    const onward = connect(beta.ready().smtp.port, "127.0.0.1");
    socket.on("error", () => onward.destroy()).pipe(onward);
    onward.on("error", () => socket.destroy()).pipe(socket);
  });
  await once(way.listen(0, "127.0.0.1"), "listening");
  const { port } = way.address() as { port: number };
  alpha = await startInstallation({ config: configOf("", "beta.test", port) });
  const back = configOf('[site]\ndomain = "beta.test"', "postern.test", alpha.ready().smtp.port);
  beta = await startInstallation({ config: back });
  for (const [site, from, to] of [
    [alpha, "loop@postern.test", "loop@beta.test"],
    [beta, "loop@beta.test", "loop@postern.test"],
  ] as const) {
    const { code, stderr } = await site.cli("alias", "add", from, to);
    assert.equal(code, 0, stderr);
  }
});

after(async () => {
  way.close();
  await alpha?.[Symbol.asyncDispose]();
  await beta?.[Symbol.asyncDispose]();
  await dns[Symbol.asyncDispose]();
});

/** Log lines of all programs of both that fit. */
function lines(pattern: RegExp): string[] {
  return [alpha, beta].flatMap((site) =>
    site
      .log()
      .split("\n")
      .filter((line) => pattern.test(line)),
  );
}

async function send(from: string, marker: string): Promise<void> {
  const to = "loop@postern.test";
  const octets = plainMessage({ from: "ana@postern.test", to, marker, body: "round\r\n" });
  const reply = await sendMail(alpha.ready().smtp, { from, to: [to], octets });
  assert.match(reply ?? "", /^250/);
}

async function until(what: string, done: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadlineMs = Date.now() + 40_000; !(await done()); ) {
    assert.ok(Date.now() < deadlineMs, `${what}\n${alpha.log().slice(-3000)}`);
    await pause(100);
  }
}

const refused = /"edge\.refused".*"content"/;

describe("S15 loops (6 variants at the edge, 2 here)", () => {
  test("S15 a message that two nodes hand to each other stops after a few rounds, with one notice", async (t) => {
    await send("ana@postern.test", "round-1@loop.example");
    await until("the loop never ended", () => lines(refused).length === 1);
    let notices = 0;
    await until("no notice came", async () => {
      notices = (await mailboxMarkers(alpha.ready(), 0, () => true)).size;
      return notices > 0;
    });
    await pause(500);
    notices = (await mailboxMarkers(alpha.ready(), 0, () => true)).size;
    const rounds = lines(/"hub\.accepted"/).length;
    t.diagnostic(`${rounds} messages committed at both nodes, ${notices} notice`);
    assert.equal(notices, 1);
    assert.ok(rounds < 12, `${rounds}`);
  });

  test("S15 with the null sender it ends without any notice", async () => {
    const before = (await mailboxMarkers(alpha.ready(), 0, () => true)).size;
    await send("", "round-2@loop.example");
    await until("the loop never ended", () => lines(refused).length === 2);
    await pause(1000);
    assert.equal((await mailboxMarkers(alpha.ready(), 0, () => true)).size, before);
    for (const site of [alpha, beta]) {
      const { stdout } = await site.cli("queue", "list");
      assert.match(stdout, /^0 waiting, 0 held/m);
    }
  });
});
