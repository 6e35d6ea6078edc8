import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import { after, afterEach, before, describe, test } from "node:test";
import { type Clock, systemClock } from "#base/clock";
import { Full, Misconfigured, Unavailable } from "#base/errors";
import { systemRandom } from "#base/random";
import { selfSigned } from "../../../../tests/kit/certificate.ts";
import { type FaultRelay, startFaultRelay } from "../../../../tests/kit/fault-relay.ts";
import { noS3Server, type S3Server, startS3Server } from "../../../../tests/kit/s3-server.ts";
import { gather, octetsOf } from "../octets.ts";
import type { Target } from "../target.ts";
import { S3Client, type S3Settings } from "./client.ts";
import { s3Target, usualLimits } from "./target.ts";

/** Real times would only make the tests slow. */
const limits = { firstPauseMs: 2, maxPauseMs: 20, idleMs: 250, requestMs: 2000 };
const mebibyte = 1024 * 1024;
const small = Buffer.from("a small object");
const large = randomBytes(20 * mebibyte);

let server: S3Server;
let relay: FaultRelay;
let target: Target;
let settings: S3Settings & { readonly prefix: string };

function targetWith(other: Partial<S3Settings>, clock: Clock = systemClock): Target {
  return s3Target({ ...settings, ...other }, { limits, clock });
}

async function stored(name: string, of: Target = target): Promise<Buffer | undefined> {
  const octets = await of.get(name);
  return octets === undefined ? undefined : gather(octets, Infinity);
}

/** Without a picture of where 20 MiB differ, which takes all the memory there is. */
function assertLarge(octets: Buffer | undefined): void {
  assert.ok(octets?.equals(large), `${octets?.length} octets, not those that were stored`);
}

const requestsLike = (words: RegExp): number => relay.seen.filter((one) => words.test(one)).length;

describe("an S3 target before a service that fails", { skip: noS3Server }, () => {
  before(async () => {
    server = await startS3Server();
    relay = await startFaultRelay(server.port);
    const endpoint = `http://127.0.0.1:${relay.port}`;
    settings = { ...server, endpoint, bucket: "faults", prefix: "" };
    const client = new S3Client(settings, usualLimits, systemClock, systemRandom);
    await client.ask({ method: "PUT" }, [200]);
    target = targetWith({});
    await target.put("objects/small", octetsOf(small));
    await target.put("objects/large", octetsOf(large));
    relay.seen.length = 0;
  });
  after(async () => {
    await relay[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });
  afterEach(() => {
    relay.fault = () => undefined;
    relay.seen.length = 0;
  });

  /** The first so many requests of a kind meet this. */
  const first = (times: number, words: RegExp, fault: ReturnType<FaultRelay["fault"]>): void => {
    let left = times;
    relay.fault = (method, url) => {
      if (left === 0 || !words.test(`${method} ${url.pathname}${url.search}`)) return undefined;
      left -= 1;
      return fault;
    };
  };

  for (const status of [429, 500, 502, 503, 504]) {
    test(`tries again after ${status}, on each kind of request`, async () => {
      first(4, /^PUT/, { status });
      await target.put("objects/again", octetsOf(small));
      first(4, /^HEAD/, { status });
      assert.deepEqual(await stored("objects/again"), small);
      first(4, /^GET .*again/, { status });
      assert.deepEqual(await stored("objects/again"), small);
      first(4, /^GET .*list-type/, { status });
      assert.equal((await Array.fromAsync(target.list("objects"))).length, 3);
      first(4, /^DELETE/, { status });
      await target.remove("objects/again");
      assert.equal(await stored("objects/again"), undefined);
      assert.equal(requestsLike(/^PUT/), 5);
      assert.equal(requestsLike(/^DELETE/), 5);
    });
  }

  test("gives up after six tries, as Unavailable", async () => {
    relay.fault = () => ({ status: 503 });
    await assert.rejects(target.put("objects/never", octetsOf(small)), Unavailable);
    assert.equal(requestsLike(/^PUT/), 6);
  });

  test("waits as long as the service asks, within its own bound", async () => {
    const pauses: number[] = [];
    const clock: Clock = {
      ...systemClock,
      after(delayMs, run) {
        const isDeadline = delayMs === limits.requestMs || delayMs === limits.idleMs;
        if (isDeadline) return systemClock.after(delayMs, run);
        pauses.push(delayMs);
        return systemClock.after(0, run);
      },
    };
    first(2, /^PUT/, { status: 503, headers: { "retry-after": "7" } });
    const patient = s3Target(settings, { limits: { ...limits, maxPauseMs: 9000 }, clock });
    relay.fault = (
      (old) => (method, url) =>
        old(method, url)
    )(relay.fault);
    const waitsFor = patient.put("objects/patient", octetsOf(small));
    await waitsFor;
    assert.deepEqual(pauses, [7000, 7000]);
    pauses.length = 0;
    first(4, /^PUT/, { status: 503 });
    await patient.put("objects/patient", octetsOf(small));
    for (const [index, pauseMs] of pauses.entries()) {
      const grownMs = 2 * 2 ** index;
      assert.ok(pauseMs >= grownMs / 2 && pauseMs <= grownMs, `${pauseMs} of ${grownMs}`);
    }
    assert.equal(pauses.length, 4);
  });

  test("puts a large object though each part fails once, and reads it though it breaks twice", async () => {
    const failed = new Set<string>();
    relay.fault = (method, url) => {
      const part = url.searchParams.get("partNumber");
      if (method !== "PUT" || part === null || failed.has(part)) return undefined;
      failed.add(part);
      return failed.size % 2 === 0 ? { status: 500 } : "lose-answer";
    };
    await target.put("objects/parts", octetsOf(large), large.length);
    assert.deepEqual([...failed], ["1", "2", "3"]);
    first(2, /^GET/, { cutAfterBytes: 5 * mebibyte });
    assertLarge(await stored("objects/parts"));
    assert.equal(requestsLike(/^GET/), 3);
    await target.remove("objects/parts");
  });

  test("knows that an upload is complete when the answer that says so was lost", async () => {
    first(1, /^POST .*uploadId=/, "lose-answer");
    await target.put("objects/complete", octetsOf(large));
    assertLarge(await stored("objects/complete"));
    assert.equal(requestsLike(/^POST .*uploadId=/), 2);
    await target.remove("objects/complete");
  });

  test("believes no 200 that carries an error", async () => {
    const body = "\n <?xml version='1.0'?><Error><Code>InternalError</Code></Error>";
    first(1, /^POST .*uploadId=/, { status: 200, body });
    await target.put("objects/error", octetsOf(large));
    assertLarge(await stored("objects/error"));
    await target.remove("objects/error");
  });

  test("takes a page of some proxy neither for an empty list nor for a stored object", async () => {
    relay.fault = () => ({ status: 200, body: "<!DOCTYPE html><html>Please log in</html>" });
    const strange = /does not answer as an S3 service/;
    await assert.rejects(Array.fromAsync(target.list("objects")), strange);
    await assert.rejects(target.put("objects/a", octetsOf(small)), strange);
    await assert.rejects(target.put("objects/a", octetsOf(large)), strange);
    await assert.rejects(target.sweep(0), strange);
  });

  test("leaves nothing of an upload that fails, and a sweep takes what could not be taken", async () => {
    const emptyBytes = server.storedBytes();
    relay.fault = (_method, url) =>
      url.searchParams.get("partNumber") === "3" ? { status: 400 } : undefined;
    await assert.rejects(target.put("objects/gone", octetsOf(large)), Misconfigured);
    assert.equal(server.storedBytes(), emptyBytes);

    relay.fault = (method, url) =>
      url.searchParams.get("partNumber") === "3" || method === "DELETE"
        ? { status: 400 }
        : undefined;
    await assert.rejects(target.put("objects/gone", octetsOf(large)), Misconfigured);
    relay.fault = () => undefined;
    assert.ok(server.storedBytes() > emptyBytes + 16_000_000);
    assert.equal(await target.sweep(60_000), 0, "it is too young");
    assert.equal(await target.sweep(-60_000), 1);
    assert.equal(server.storedBytes(), emptyBytes);
    assert.equal(await stored("objects/gone"), undefined);
  });

  test("gives up on silence, before the answer and within it", { timeout: 20_000 }, async () => {
    relay.fault = () => "silence";
    await assert.rejects(target.put("objects/silent", octetsOf(small)), /does not answer/);
    assert.equal(requestsLike(/^PUT/), 6);
    const mute = createServer((socket) => {
      socket.once(
        "data",
        () => void socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n<"),
      );
    });
    await new Promise<void>((resolve) => void mute.listen(0, "127.0.0.1", resolve));
    const { port } = mute.address() as { port: number };
    const dripping = targetWith({ endpoint: `http://127.0.0.1:${port}` });
    await assert.rejects(Array.fromAsync(dripping.list("objects")), Unavailable);
    mute.close();
  });

  test("lets go of a service that answers without end", { timeout: 20_000 }, async () => {
    const head = "content-length: 14\r\netag: x\r\n";
    const endless = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.on("data", (asked: Buffer) => {
        if (asked.toString("latin1").startsWith("HEAD")) {
          socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n`);
          return;
        }
        const more = (): void => {
          if (!socket.destroyed) socket.write("x".repeat(1000), () => setImmediate(more));
        };
        socket.write("HTTP/1.1 206 Partial Content\r\n\r\n");
        more();
      });
    });
    await new Promise<void>((resolve) => void endless.listen(0, "127.0.0.1", resolve));
    const { port } = endless.address() as { port: number };
    const deceived = targetWith({ endpoint: `http://127.0.0.1:${port}` });
    assert.equal(String(await stored("objects/small", deceived)), "x".repeat(14));
    endless.close();
  });

  test("does not take its own reader's slowness for silence", async () => {
    const octets = await target.get("objects/large");
    assert.ok(octets);
    let seen = 0;
    for await (const chunk of octets) {
      if (seen === 0) await new Promise((resolve) => setTimeout(resolve, 3 * limits.idleMs));
      seen += chunk.length;
    }
    assert.equal(seen, large.length);
    assert.equal(requestsLike(/^GET/), 1);
  });

  test("does not mix two objects when one is replaced while it is read", async () => {
    await target.put("objects/changes", octetsOf(large));
    first(1, /^GET/, { cutAfterBytes: mebibyte });
    const octets = await target.get("objects/changes");
    await target.put("objects/changes", octetsOf(randomBytes(large.length)));
    assert.ok(octets);
    await assert.rejects(gather(octets, Infinity), /changed while it was read/);
  });

  const wrong: readonly [string, Partial<S3Settings>, RegExp][] = [
    ["the secret", { secretAccessKey: "wrong" }, /SignatureDoesNotMatch: the secret access key/],
    ["the access key", { accessKeyId: "nobody:here" }, /403 .*(?:access key|secret)/],
    ["the bucket", { bucket: "no-such-bucket" }, /NoSuchBucket: make the bucket/],
    ["the region", { region: "eu-central-7" }, /region/],
  ];
  for (const [what, other, words] of wrong) {
    test(`says at once what to do when ${what} is wrong`, async () => {
      const said = (error: unknown): boolean =>
        error instanceof Misconfigured && words.test(error.message);
      await assert.rejects(targetWith(other).put("objects/a", octetsOf(small)), said);
      assert.equal(requestsLike(/^PUT/), 1);
    });
  }

  test("says so when the clocks differ", async () => {
    const wrongClock: Clock = { ...systemClock, nowMs: () => Date.now() - 3_600_000 };
    await assert.rejects(targetWith({}, wrongClock).put("objects/a", octetsOf(small)), (error) => {
      return error instanceof Misconfigured && /clock/.test(error.message);
    });
  });

  test("says Full when there is no room", async () => {
    const body = "<Error><Code>QuotaExceeded</Code></Error>";
    relay.fault = () => ({ status: 403, body });
    await assert.rejects(target.put("objects/a", octetsOf(small)), Full);
  });

  test("says what to do when nobody listens, and when the name is not known", async () => {
    const nobody = targetWith({ endpoint: "http://127.0.0.1:9" });
    await assert.rejects(nobody.get("objects/a"), /does not answer \(ECONNREFUSED\)/);
  });

  test("has no secret in any of its messages", async () => {
    const all: string[] = [target.title];
    for (const fault of [{ status: 403 }, { status: 500 }, { status: 404 }, { status: 301 }]) {
      relay.fault = () => fault;
      await target.put("objects/a", octetsOf(small)).catch((error) => void all.push(String(error)));
    }
    assert.equal(all.length, 5);
    for (const text of all) assert.ok(!text.includes(server.secretAccessKey), text);
  });

  test("speaks TLS to the authority it is given and to no other", async () => {
    const own = selfSigned("localhost");
    await using secure = await startFaultRelay(server.port, own);
    const endpoint = `https://localhost:${secure.port}`;
    const trusting = targetWith({ endpoint, ca: own.cert });
    await trusting.put("objects/tls", octetsOf(small));
    assert.deepEqual(await stored("objects/tls", trusting), small);

    const noTls = (error: unknown): boolean =>
      error instanceof Misconfigured && /no TLS/.test(error.message);
    await assert.rejects(targetWith({ endpoint }).get("objects/tls"), noTls);
    const other = targetWith({ endpoint, ca: selfSigned("localhost").cert });
    await assert.rejects(other.get("objects/tls"), noTls);
    const name = targetWith({ endpoint: `https://127.0.0.1:${secure.port}`, ca: own.cert });
    await assert.rejects(name.get("objects/tls"), noTls);
    const plain = targetWith({ endpoint: `https://127.0.0.1:${relay.port}`, ca: own.cert });
    await assert.rejects(plain.get("objects/tls"), noTls);
  });
});

test("s3Target() refuses settings that cannot be right", () => {
  const sound = {
    endpoint: "https://s3.example",
    bucket: "backups",
    region: "us-east-1",
    accessKeyId: "a",
    secretAccessKey: "b",
    prefix: "hub/",
  };
  s3Target(sound);
  const wrong = [
    { endpoint: "s3.example" },
    { endpoint: "ftp://s3.example" },
    { endpoint: "https://user:word@s3.example" },
    { endpoint: "https://s3.example/?a" },
    { bucket: "" },
    { bucket: "a/b" },
    { prefix: "hub" },
    { prefix: "/hub/" },
    { prefix: "../" },
    { prefix: "a b/" },
  ];
  for (const other of wrong) {
    assert.throws(() => s3Target({ ...sound, ...other }), Misconfigured, JSON.stringify(other));
  }
});
