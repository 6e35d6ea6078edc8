/** Hostile octets for the readers, and the same requests for Node's own parser. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createServer, METHODS } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { describe, test } from "node:test";
import { pick, type Random, seededRandom } from "#base/random";
import {
  ChunkedReader,
  chunkEnd,
  chunkHead,
  type HeaderList,
  lastChunk,
  type RequestHead,
  readRequestHead,
  readResponseHead,
  requestHead,
} from "#formats/http";

/** More rounds by hand: POSTERN_FUZZ=1000000 */
const rounds = Number(process.env["POSTERN_FUZZ"] ?? 20_000);
const limits = { headerMaxCount: 40 };

const seeds = [
  "GET /a/b?c=d HTTP/1.1\r\nHost: mail.example.org\r\nAccept: */*\r\n\r\n",
  "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nX-A: b\r\n\r\n",
  "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
  "HEAD / HTTP/1.0\r\nHost: a:8443\r\nConnection: keep-alive\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
  "PROPFIND /d%C3%A9/ HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\n",
  "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
];
const pieces =
  "\r\n|\n|\r|\0| |\t|:|,|;|\x85|\xff|_|-|/|?|#|%|0|7|+|.|\r\n |\r\n\r\n|Content-Length: 4|Content-Length: 0|" +
  "Transfer-Encoding: chunked|Host: b|X: |chunked|close|Connection: close|gzip, |HTTP/1.1|HTTP/1.0|GET |\x7f|\x0b|é|" +
  "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n|Trailer: X\r\n|TE: trailers\r\n|Cookie: a=b; c=d\r\n";
const tokens = pieces.split("|");

/** A head with some octets taken out, put in or put elsewhere; often still a good one. */
function mutated(random: Random): Buffer {
  let text = seeds[pick(random, seeds.length)] ?? "";
  for (let count = pick(random, 4); count > 0; count -= 1) {
    const at = pick(random, text.length + 1);
    const lineAt = text.indexOf("\r\n", at);
    const token = tokens[pick(random, tokens.length)] ?? "";
    switch (pick(random, 4)) {
      case 0:
        text = text.slice(0, at) + token + text.slice(at);
        break;
      case 1:
        text = text.slice(0, at) + text.slice(at + 1 + pick(random, 3));
        break;
      case 2:
        text = text.slice(0, at) + token + text.slice(at + token.length);
        break;
      default:
        if (lineAt > 0) text = `${text.slice(0, lineAt)}\r\n${token}${text.slice(lineAt)}`;
    }
  }
  return Buffer.from(text, "latin1");
}

/** As they go on behind us: what belongs to the connection is made anew. */
function rewritten(head: RequestHead): string {
  const kept = head.headers.filter(
    ([name]) =>
      !["connection", "upgrade", "expect", "keep-alive", "proxy-connection"].includes(name),
  );
  const host: HeaderList = kept.some(([name]) => name === "host") ? [] : [["host", "none"]];
  return requestHead(head.method, head.target, [...host, ...kept]);
}

const isOriginForm = (head: RequestHead): boolean => head.target.startsWith("/");

describe("readers of heads", () => {
  test(`never throw, and read again what they wrote (seed 5, ${rounds} heads)`, () => {
    const random = seededRandom(5);
    let accepted = 0;
    for (let round = 0; round < rounds; round += 1) {
      const octets = mutated(random);
      const answer = readResponseHead(octets, { method: "GET" }, limits);
      if (!answer.ok) assert.ok(answer.at >= 0 && answer.at <= octets.length);
      const read = readRequestHead(octets, limits);
      if (!read.ok) {
        assert.ok(read.at >= 0 && read.at <= octets.length);
        continue;
      }
      accepted += 1;
      if (!isOriginForm(read.value)) continue;
      const again = readRequestHead(Buffer.from(rewritten(read.value), "latin1"), limits);
      assert.ok(again.ok, "refused what it wrote");
      const { method, target, body } = read.value;
      assert.deepEqual(
        [again.value.method, again.value.target, again.value.body],
        [method, target, body],
      );
    }
    assert.ok(accepted > rounds / 20);
  });

  test("take arbitrary octets", () => {
    const random = seededRandom(6);
    for (let round = 0; round < rounds / 10; round += 1) {
      const octets = random.bytes(pick(random, 200));
      readRequestHead(octets, limits);
      readResponseHead(octets, { method: "GET" }, limits);
    }
  });
});

/** @returns the chunks, and the data in them */
function chunks(random: Random): readonly [framed: string, data: string] {
  let framed = "";
  let data = "";
  for (let count = pick(random, 4); count > 0; count -= 1) {
    const part = "x7\r\n0;"[pick(random, 6)]?.repeat(1 + pick(random, 40)) ?? "";
    framed += chunkHead(part.length) + part + chunkEnd;
    data += part;
  }
  return [framed + lastChunk, data];
}

describe("ChunkedReader", () => {
  test(`reads alike however it is cut, whatever comes (seed 7, ${rounds} bodies)`, () => {
    const random = seededRandom(7);
    const readIn = (octets: Buffer, stepBytes: number): string => {
      const reader = new ChunkedReader();
      let data = "";
      for (let at = 0; at < octets.length; at += stepBytes) {
        const part = octets.subarray(at, at + stepBytes);
        const outcome = reader.push(part, (taken) => void (data += taken.toString("latin1")));
        if (outcome === "fault") return "fault";
        if (outcome !== "more") return `${data}|${at + part.length - outcome.rest.length}`;
      }
      return "more";
    };
    for (let round = 0; round < rounds; round += 1) {
      let [text] = chunks(random);
      for (let count = pick(random, 3); count > 0; count -= 1) {
        const at = pick(random, text.length);
        text =
          text.slice(0, at) + (tokens[pick(random, 24)] ?? "") + text.slice(at + pick(random, 2));
      }
      const octets = Buffer.from(text, "latin1");
      const whole = readIn(octets, octets.length);
      assert.equal(readIn(octets, 1), whole);
      assert.equal(readIn(octets, 2 + pick(random, 9)), whole);
    }
  });
});

interface Seen {
  readonly method: string;
  readonly target: string;
  readonly headers: HeaderList;
  readonly body: string;
}

/** One connection to a server of node:http; requests are pipelined and come out in order. */
async function nodeServer(onSeen: (seen: Seen) => void, onFault: (fault: Error) => void) {
  const server = createServer(
    { insecureHTTPParser: false, keepAliveTimeout: 0 },
    (asked, answer) => {
      let body = "";
      asked.setEncoding("latin1");
      asked.on("data", (part: string) => void (body += part));
      asked.on("end", () => {
        const pairs: [string, string][] = [];
        for (let at = 0; at < asked.rawHeaders.length; at += 2) {
          pairs.push([asked.rawHeaders[at] ?? "", asked.rawHeaders[at + 1] ?? ""]);
        }
        onSeen({ method: asked.method ?? "", target: asked.url ?? "", headers: pairs, body });
        answer.statusCode = 204;
        answer.end();
      });
    },
  );
  server.maxRequestsPerSocket = 0;
  server.on("clientError", onFault);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.resume();
  socket.on("error", onFault);
  socket.on("close", () => onFault(new Error("closed")));
  return {
    send: (text: string): boolean => socket.write(text, "latin1"),
    [Symbol.asyncDispose]: async () => {
      socket.removeAllListeners("close");
      socket.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

/** A request that our reader accepts, as it goes on with a body of ours, and what must be seen. */
function sendable(random: Random): readonly [text: string, expected: Seen] | undefined {
  const read = readRequestHead(mutated(random), limits);
  if (!read.ok || !isOriginForm(read.value)) return undefined;
  const { method, target, body: framing } = read.value;
  if (!METHODS.includes(method) || method === "CONNECT") return undefined;
  if (typeof framing === "number" && framing > 100) return undefined;
  const head = rewritten(read.value);
  const [framed, data] = framing === "chunked" ? chunks(random) : ["", ""];
  const body =
    framing === "chunked" ? data : "GET /smuggled HTTP/1.1\r\n\r\n".repeat(4).slice(0, framing);
  const again = readRequestHead(Buffer.from(head, "latin1"), limits);
  assert.ok(again.ok);
  const expected = { method, target, headers: again.value.headers, body };
  return [head + (framing === "chunked" ? framed : body), expected];
}

describe("W1 differential", () => {
  test(`what goes on is read alike by node:http (seed 8, ${rounds} heads)`, async (context) => {
    const random = seededRandom(8);
    const expected: Seen[] = [];
    let compared = 0;
    let wake = (): void => {};
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => {});
    await using node = await nodeServer((seen) => {
      try {
        assert.deepEqual(seen, expected.shift());
      } catch (error) {
        failed.reject(error);
      }
      compared += 1;
      if (expected.length === 0) wake();
    }, failed.reject);
    for (let round = 0; round < rounds; ) {
      let batch = "";
      for (; round < rounds && expected.length < 200; round += 1) {
        const one = sendable(random);
        if (one === undefined) continue;
        batch += one[0];
        expected.push(one[1]);
      }
      const answered = new Promise<void>((resolve) => void (wake = resolve));
      if (expected.length === 0) break;
      node.send(batch);
      await Promise.race([answered, failed.promise]);
    }
    assert.ok(compared > rounds / 20);
    context.diagnostic(`${compared} of ${rounds} were accepted and compared`);
  });
});
