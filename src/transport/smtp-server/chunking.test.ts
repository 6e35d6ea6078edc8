/** However the network cuts a dialogue into chunks, its outcome is the same (seeded). */

import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { test } from "node:test";
import { systemClock } from "#base/clock";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { pick, type Random, seededRandom } from "#base/random";
import { ContentScanner } from "./content-scanner.ts";
import { smtpParameters } from "./parameters.ts";
import { createSmtpServer } from "./server.ts";

/** What a polite client sends between two replies that it must wait for. */
const turns = [
  "EHLO c.example\r\n",
  "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@known.example>\r\nRCPT TO:<y@known.example>\r\nDATA\r\n",
  "Subject: x\r\n\r\n..\r\n...\r\n.x\r\n\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<z@known.example>\r\nDATA\r\n",
  "\r\n.\r\n",
  "MAIL FROM:<>\r\nRCPT TO:<w@known.example>\r\nBDAT 7\r\na\r\n.\r\n\rBDAT 3 LAST\r\n\nb.RSET\r\nQUIT\r\n",
];

async function play(cuts: (length: number) => number, slowly: boolean): Promise<string> {
  const delivered: string[] = [];
  const later = <Value>(value: Value): Value | Promise<Value> =>
    slowly ? new Promise((resolve) => setImmediate(() => resolve(value))) : value;
  const server = createSmtpServer(
    {
      listener: "smtp",
      hostname: "mx",
      implicitTls: false,
      proxyTrusted: [],
      clock: systemClock,
      random: seededRandom(1),
      log: silentLog,
      registry: new Registry(),
      limits: { ...defaultsOf(smtpParameters), greetingDelayMs: 0 },
    },
    {
      mail: () => later(undefined),
      recipient: () => later(undefined),
      begin: ({ envelope }) => {
        const pieces: Buffer[] = [];
        return {
          write: (piece) => later(void pieces.push(Buffer.from(piece))) as void | Promise<void>,
          end: ({ contentId }) => {
            const to = envelope.recipients.map((one) => one.path).join();
            delivered.push(
              `${to} ${contentId} ${JSON.stringify(Buffer.concat(pieces).toString())}`,
            );
            return later({ code: 250, text: "kept" });
          },
          abort: (why) => void delivered.push(why),
        };
      },
    },
  );
  const [client, far] = duplexPair();
  let said = "";
  client.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  server.attach(far, { host: "192.0.2.1", port: 1 });
  const expected = [2, 6, 10, 11, 17];
  for (const [index, turn] of turns.entries()) {
    for (let at = 0; at < turn.length; ) {
      const size = Math.max(1, cuts(turn.length));
      client.write(turn.slice(at, at + size));
      at += size;
      if (size < 4) await new Promise((resolve) => setImmediate(resolve));
    }
    const wanted = expected[index] ?? 0;
    for (let turnsLeft = 200; turnsLeft > 0 && finals(said) < wanted; turnsLeft -= 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  await server.drain(0);
  return `${said}\n${delivered.join("\n")}`;
}

function finals(said: string): number {
  return said.match(/^\d{3} /gm)?.length ?? 0;
}

test("a dialogue has one outcome whatever its chunks, with quick and slow handlers", async () => {
  const whole = await play((length) => length, false);
  assert.match(whole, /"Subject: x\\r\\n\\r\\n\.\\r\\n\.\.\\r\\nx\\r\\n\\r\\n"/);
  assert.match(whole, /w@known\.example [0-9a-f]{64} "a\\r\\n\.\\r\\n\\r\\nb\."/);
  for (let seed = 0; seed < 60; seed += 1) {
    const random = seededRandom(seed);
    const most = 1 + pick(random, 40);
    const cut = await play(() => 1 + pick(random, most), seed % 2 === 0);
    assert.equal(cut, whole, `seed ${seed}`);
  }
});

/** The rule, octet by octet, as slow and plain as it can be. */
function plainly(octets: Buffer): { readonly content: string; readonly outcome: string } {
  const text = octets.toString("latin1");
  const good = /^(?:[^\r\n\0]|\r\n)*/.exec(text)?.[0] ?? "";
  const end = /^\.\r\n|\r\n\.\r\n/.exec(good);
  const body =
    end === null ? good : good.slice(0, end.index + (end.index === 0 && good[0] === "." ? 0 : 2));
  const content = body.replace(/^\.|(?<=\r\n)\./g, "");
  if (end !== null) return { content, outcome: "end" };
  const rest = text.slice(good.length);
  return { content, outcome: rest === "" || rest === "\r" ? "more" : "bad-octet" };
}

test("the scanner agrees with the plain rule on random octets in random chunks", () => {
  const alphabet = [
    "\r\n",
    "\r\n",
    "\r\n",
    ".",
    ".",
    "a",
    "bcdefgh",
    "\xff",
    "\t",
    "\r",
    "\n",
    "\0",
  ];
  const draw = (random: Random): Buffer => {
    const harmless = pick(random, 3) > 0;
    const parts = Array.from({ length: pick(random, 40) }, () => {
      return alphabet[pick(random, harmless ? 9 : alphabet.length)] ?? "";
    });
    return Buffer.from(parts.join(""), "latin1");
  };
  for (let seed = 0; seed < 20_000; seed += 1) {
    const random = seededRandom(seed);
    const octets = draw(random);
    const scanner = new ContentScanner(true, 1000);
    let outcome: string = "more";
    let content = "";
    for (let at = 0; at < octets.length && outcome === "more"; ) {
      const size = 1 + pick(random, 12);
      const padding = pick(random, 4); // every alignment of the words
      const piece = octets.subarray(at, at + size);
      const chunk = Buffer.concat([Buffer.alloc(padding), piece]).subarray(padding);
      outcome = scanner.scan(chunk, 0, chunk.length);
      content += chunk.toString("latin1", scanner.pieceStart, scanner.pieceEnd);
      at += size;
    }
    const wanted = plainly(octets);
    assert.equal(outcome, wanted.outcome, `seed ${seed}`);
    if (outcome === "end") assert.equal(content, wanted.content, `seed ${seed}`);
  }
});
