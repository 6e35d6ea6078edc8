/** S13: thousands of clients that stay and say little. What honest mail's time is: `npm run bench -- smtp-crowd`. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { type FakeDns, startFakeDns } from "../kit/fake-dns.ts";
import {
  type Crowd,
  crowdNetwork,
  halfDialogues,
  manyAddresses,
  startCrowd,
} from "../kit/half-talkers.ts";
import { type Installation, startInstallation } from "../kit/installation.ts";
import { mailboxMarkers } from "../kit/mailbox-markers.ts";
import { plainMessage, sendMail } from "../kit/smtp-dialogue.ts";

/** By default ten thousand in all; less where the machine lets a process open less. */
const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
const caps = { all: Math.min(10_000, Number(limit) - 500), address: 100, network: 200 };

/** Those by address and network are the defaults; times are so long that nobody is put out for slowness while this lasts. */
const config = (dns: string): string => `[dns]
servers = ["${dns}"]
[balancer]
mail = ["${crowdNetwork}"]
[smtp]
connections = ${caps.all}
greetingTimeoutMs = 900000
commandTimeoutMs = 900000
dataTimeoutMs = 900000
dataBytesPerSecond = 0
[abuse]
loopDelayMs = 60000
`;
/** Catalogue, limits on floods: the edge's resident memory, in MB. */
const mostMb = 512;

let dns: FakeDns;
let installation: Installation;
let crowd: Crowd;
let tried = 0;
let sent = 0;

before(async () => {
  dns = await startFakeDns({});
  installation = await startInstallation({
    config: config(`127.0.0.1:${dns.endpoint.port}`),
  });
  crowd = startCrowd(installation.ready().smtp.port);
});
after(async () => {
  await crowd?.[Symbol.asyncDispose]();
  await installation?.[Symbol.asyncDispose]();
  await dns?.[Symbol.asyncDispose]();
});

/** From the machine itself, which no PROXY header announces. */
async function honestMail(): Promise<string> {
  const ready = installation.ready();
  const to = ready.accounts[0]?.address ?? "";
  const marker = `honest-${tried}@client.example`;
  tried += 1;
  const octets = plainMessage({ from: "a@client.example", to, marker });
  const reply = await sendMail(ready.smtp, { from: "a@client.example", to: [to], octets });
  if (reply?.startsWith("250") === true) sent += 1;
  return reply ?? "none";
}

function residentMb(): number {
  const status = readFileSync(`/proc/${installation.ready().pids["edge-smtp"]}/status`, "latin1");
  return (Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024) / 1e6;
}

describe("S13 10,000 connections that are idle or half through a dialogue", () => {
  test("S13 one address holds as many as its cap, the others hear 421", async () => {
    const addresses = Array.from({ length: caps.address + 20 }, () => "192.0.2.1");
    assert.deepEqual(await crowd.add({ addresses, say: [] }), { 220: caps.address, 421: 20 });
  });

  test("S13 so do all addresses of an IPv6 network of 64 bits together", async () => {
    const addresses = Array.from({ length: caps.network + 50 }, (_, nth) => {
      return `2001:db8:ffff:1::${(nth + 1).toString(16)}`;
    });
    assert.deepEqual(await crowd.add({ addresses, say: [] }), { 220: caps.network, 421: 50 });
  });

  test("S13 with the crowd there, honest mail goes in as before", async (t) => {
    const dialogues = halfDialogues(installation.ready().accounts[0]?.address ?? "");
    const addresses = manyAddresses(caps.all - 100 - caps.address - caps.network);
    const emptyMb = residentMb();
    const each = Math.ceil(addresses.length / dialogues.length);
    for (const [nth, say] of dialogues.entries()) {
      const some = addresses.slice(nth * each, (nth + 1) * each);
      assert.deepEqual(await crowd.add({ addresses: some, say }), { 220: some.length });
    }
    for (let round = 0; round < 10; round += 1) {
      const replies = await Promise.all(Array.from({ length: 5 }, honestMail));
      for (const reply of replies) assert.match(reply, /^250 2\.0\.0 /);
    }
    const full = residentMb();
    t.diagnostic(`edge-smtp ${emptyMb.toFixed(0)} MB before, ${full.toFixed(0)} MB with the crowd`);
    assert.ok(full < mostMb, `${full} MB`);
    assert.equal(await crowd.open(), caps.all - 100);
  });

  test("S13 beyond the cap for all, everybody hears 421 at once, and nobody is put out", async () => {
    const addresses = manyAddresses(20_000).slice(-200);
    const { 220: held = 0, 421: refused = 0 } = await crowd.add({ addresses, say: [] });
    assert.ok(held <= 100 && refused >= 100 && held + refused === 200, `${held} ${refused}`);
    assert.match(await honestMail(), /^421 4\.7\.0 /);
    assert.equal(await crowd.open(), caps.all - 100 + held);
    assert.ok(residentMb() < mostMb);
  });

  test("S13 when the crowd is gone there is room again, and nothing was lost", async () => {
    await crowd[Symbol.asyncDispose]();
    let reply = "";
    for (let tries = 0; !reply.startsWith("250") && tries < 100; tries += 1) {
      reply = await honestMail();
      if (!reply.startsWith("250")) await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.match(reply, /^250 /);
    const found = await mailboxMarkers(installation.ready(), 0, () => true);
    assert.equal(found.size, sent);
  });
});
