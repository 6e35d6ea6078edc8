/** Memory stays within its bounds: ten thousand idle clients, and messages of fifty megabytes. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { type FakeDns, startFakeDns } from "../kit/fake-dns.ts";
import { type Installation, type Ready, startInstallation } from "../kit/installation.ts";
import { SmtpDialogue } from "../kit/smtp-dialogue.ts";

const idleClients = 10_000;
const idleLimitMb = 150;
const messageMb = 50;
/** Growth allowed for each message under way. */
const growthLimitMb = 3 * messageMb;

/** Why so many connections cannot be opened here, or false. */
const cannotOpen = openFiles() < idleClients + 500 && "needs more open files: ulimit -n";

/** One address stands for all clients. */
const config = "[smtp]\nconnections = 20000\nconnectionsPerAddress = 20000\n";

let dns: FakeDns;
let installation: Installation;

before(async () => {
  dns = await startFakeDns({ "good.example": [{ TXT: "v=spf1 ip4:127.0.0.1 -all" }] });
  const { host, port } = dns.endpoint;
  installation = await startInstallation({
    config: `[dns]\nservers = ["${host}:${port}"]\n`,
  });
});

after(async () => {
  await installation[Symbol.asyncDispose]();
  await dns[Symbol.asyncDispose]();
});

/** The soft limit, which Node raises to the hard one for itself and its children. */
function openFiles(): number {
  const limits = readFileSync("/proc/self/limits", "latin1");
  return Number(/Max open files\s+(\d+)/.exec(limits)?.[1] ?? 0);
}

function residentMb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return (Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024) / 1e6;
}

/** How far each process grew while the work was done. */
async function growth(pids: readonly number[], work: () => Promise<unknown>): Promise<number[]> {
  const before = pids.map(residentMb);
  const peak = [...before];
  const look = setInterval(() => {
    for (const [index, pid] of pids.entries()) {
      peak[index] = Math.max(peak[index] ?? 0, residentMb(pid));
    }
  }, 10);
  try {
    await work();
  } finally {
    clearInterval(look);
  }
  return peak.map((most, index) => most - (before[index] ?? 0));
}

async function greeted(ready: Ready): Promise<Socket> {
  const socket = connect({ host: ready.smtp.host, port: ready.smtp.port });
  const [greeting] = (await once(socket, "data")) as [Buffer];
  assert.match(greeting.toString("latin1"), /^220 /);
  return socket;
}

/** Lines of 76 letters, other ones in each message. */
function largeMessage(nth: number): Buffer {
  const head = `From: <a@good.example>\r\nMessage-ID: <large-${nth}@good.example>\r\n\r\n`;
  const line = `${String.fromCharCode(97 + nth).repeat(76)}\r\n`;
  const lines = Math.floor((messageMb * 1e6 - head.length) / line.length);
  return Buffer.from(head + line.repeat(lines), "latin1");
}

async function send(ready: Ready, message: Buffer): Promise<void> {
  const dialogue = new SmtpDialogue(ready.smtp);
  assert.match((await dialogue.reply()) ?? "", /^220/);
  const recipient = ready.accounts[0]?.address ?? "";
  for (const line of [
    "EHLO a.good.example",
    "MAIL FROM:<a@good.example>",
    `RCPT TO:<${recipient}>`,
  ]) {
    assert.match((await dialogue.say(line)) ?? "", /^250/);
  }
  assert.match((await dialogue.say("DATA")) ?? "", /^354/);
  for (let at = 0; at < message.length; at += 65_536) {
    if (!dialogue.write(message.subarray(at, at + 65_536))) await dialogue.drained();
  }
  assert.match((await dialogue.say(".")) ?? "", /^250/);
  dialogue.close();
}

/** Hashes of the last octets of every message in the INBOX, as many as were sent. */
async function tailHashes(ready: Ready, sentBytes: number): Promise<string[]> {
  const { address, password } = ready.accounts[0] ?? { address: "", password: "" };
  const socket = connectTls({ ...ready.imap, ca: readFileSync(ready.ca), servername: "localhost" });
  const parts: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => void parts.push(chunk));
  await once(socket, "secureConnect");
  socket.write(`a LOGIN "${address}" "${password}"\r\nb EXAMINE INBOX\r\n`);
  socket.write("c UID FETCH 1:* (BODY.PEEK[])\r\nd LOGOUT\r\n");
  await once(socket, "close");
  const all = Buffer.concat(parts);
  const hashes: string[] = [];
  for (let at = 0; ; ) {
    const found = all.indexOf("BODY[] {", at);
    if (found < 0) return hashes;
    const lineEnd = all.indexOf("\r\n", found);
    const size = Number(/\{(\d+)\}$/.exec(all.toString("latin1", found, lineEnd))?.[1]);
    at = lineEnd + 2 + size;
    hashes.push(sha256(all.subarray(at - sentBytes, at)));
  }
}

function sha256(octets: Uint8Array): string {
  return createHash("sha256").update(octets).digest("hex");
}

describe("memory of the programs", () => {
  for (const [count, first] of [
    [1, 0],
    [3, 1],
  ] as const) {
    test(`grows by less than ${growthLimitMb} MB for each of ${count} large messages at once`, async (t) => {
      const ready = installation.ready();
      const messages = Array.from({ length: count }, (_, nth) => largeMessage(first + nth));
      const pids = [ready.pids["edge-smtp"], ready.pids.hub];
      const grown = await growth(pids, () =>
        Promise.all(messages.map((message) => send(ready, message))),
      );
      const [edgeMb = 0, hubMb = 0] = grown;
      t.diagnostic(
        `${count} at once: edge-smtp +${edgeMb.toFixed(0)} MB, hub +${hubMb.toFixed(0)} MB`,
      );
      assert.ok(edgeMb < growthLimitMb * count, `edge-smtp +${edgeMb} MB`);
      assert.ok(hubMb < growthLimitMb * count, `hub +${hubMb} MB`);
    });
  }

  test("large messages arrive octet by octet", async () => {
    const sent = [0, 1, 2, 3].map(largeMessage);
    const arrived = await tailHashes(installation.ready(), sent[0]?.length ?? 0);
    assert.deepEqual(arrived.sort(), sent.map(sha256).sort());
  });

  test(`of edge-smtp with ${idleClients} idle clients is below ${idleLimitMb} MB`, {
    skip: cannotOpen,
  }, async (t) => {
    await using fresh = await startInstallation({ config });
    const ready = fresh.ready();
    const sockets: Socket[] = [];
    try {
      while (sockets.length < idleClients) {
        const some = Array.from({ length: 250 }, () => greeted(ready));
        sockets.push(...(await Promise.all(some)));
      }
      await pause(1000);
      const mb = residentMb(ready.pids["edge-smtp"]);
      t.diagnostic(`${sockets.length} clients: edge-smtp ${mb.toFixed(0)} MB`);
      assert.ok(mb < idleLimitMb, `${mb} MB`);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });
});
