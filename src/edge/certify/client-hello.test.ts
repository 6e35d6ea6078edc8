import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { connect } from "node:tls";
import { pick, seededRandom } from "#base/random";
import { peekClientHello } from "./client-hello.ts";

/** What a real client sends first. */
async function helloOf(options: { servername: string; ALPNProtocols?: string[] }): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const client = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ...options });
  client.on("error", () => {});
  const [socket] = (await once(server, "connection")) as [Socket];
  const [octets] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return octets;
}

const hello = await helloOf({ servername: "Mail.Example", ALPNProtocols: ["acme-tls/1", "h2"] });
const plain = await helloOf({ servername: "" });

/** The same message, cut into records of so many octets. */
function inRecords(octets: Buffer, size: number): Buffer {
  const body = octets.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < body.length; at += size) {
    const part = body.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 0xff]), part);
  }
  return Buffer.concat(records);
}

describe("peekClientHello()", () => {
  test("reads server name and protocols of a real client (RFC 6066 §3, RFC 7301 §3.1)", () => {
    const wanted = { serverName: "mail.example", protocols: ["acme-tls/1", "h2"] };
    assert.deepEqual(peekClientHello(hello), { ok: true, value: wanted });
    assert.deepEqual(peekClientHello(inRecords(hello, 300)), { ok: true, value: wanted });
    const none = { serverName: "", protocols: [] };
    assert.deepEqual(peekClientHello(plain), { ok: true, value: none });
  });

  test("asks for more as long as the message may still come, and for nothing else", () => {
    for (let length = 0; length < hello.length; length += 1) {
      const read = peekClientHello(hello.subarray(0, length));
      assert.equal(!read.ok && read.fault, "incomplete", String(length));
    }
    const others = ["GET / HTTP/1.1\r\n", "\x15\x03\x01\x00\x02\x02\x28", "\x16\x02\x01\x00\x10"];
    for (const text of others) {
      const read = peekClientHello(Buffer.from(text, "latin1"));
      assert.equal(!read.ok && read.fault, "not-a-client-hello", text);
    }
    const inCrumbs = peekClientHello(inRecords(hello, 1));
    assert.equal(!inCrumbs.ok && inCrumbs.fault, "not-a-client-hello");
    const huge = Buffer.from("160301400001ffffff", "hex");
    assert.equal(peekClientHello(huge).ok, false);
  });

  test("neither throws nor hangs on damaged octets", () => {
    const random = seededRandom(8737);
    for (let round = 0; round < 20_000; round += 1) {
      const damaged = Buffer.from(hello);
      for (let times = pick(random, 4); times >= 0; times -= 1) {
        damaged[pick(random, damaged.length)] = pick(random, 256);
      }
      const read = peekClientHello(damaged.subarray(0, pick(random, damaged.length + 1)));
      if (read.ok) assert.ok(read.value.serverName.length <= damaged.length);
    }
  });
});
