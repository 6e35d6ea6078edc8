import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { connect as connectTcp, type Socket } from "node:net";
import { after, beforeEach, describe, test } from "node:test";
import { connect } from "node:tls";
import { Misconfigured } from "#base/errors";
import type { WebRequest } from "#contracts/web";
import { openHouse } from "./fixture.test.ts";

const house = await openHouse({
  limits: { connectionsPerAddress: 4 },
  settings: { proxyTrusted: ["127.0.0.0/8"] },
});
after(() => house[Symbol.asyncDispose]());
beforeEach(() => {
  house.seen.length = 0;
});

const { port } = house.edge.endpoint;
const signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");

/** PROXY v2 for a TCP connection over IPv4 (0x11) or IPv6 (0x21); command 0 is LOCAL. */
function binary(command: number, family: number, addresses: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(addresses.length);
  return Buffer.concat([signature, Buffer.of(0x20 | command, family), length, addresses]);
}

const ipv4 = Buffer.of(203, 0, 113, 9, 192, 0, 2, 1, 0x30, 0x39, 0x01, 0xbb);
const ipv6 = Buffer.concat([
  Buffer.from("20010db8000000000000000000000007", "hex"),
  Buffer.from("20010db8000000000000000000000001", "hex"),
  Buffer.of(0x30, 0x39, 0x01, 0xbb),
]);

/** Sends the header as its own write, then a request inside TLS; resolves with what came back. */
function ask(header: Buffer | string, split = false): Promise<string> {
  return new Promise((resolve) => {
    const socket: Socket = connectTcp({ host: "127.0.0.1", port });
    socket.on("error", () => resolve("refused"));
    socket.on("close", () => setTimeout(resolve, 500, "refused"));
    socket.once("connect", () => {
      const octets = Buffer.from(header as string, "latin1");
      if (split) for (const octet of octets) socket.write(Buffer.of(octet));
      else if (octets.length > 0) socket.write(octets);
      const secure = connect({ socket, servername: "mail.example", rejectUnauthorized: false });
      let got = "";
      secure.on("data", (chunk: Buffer) => {
        got += chunk.toString();
      });
      secure.on("error", () => resolve("refused"));
      secure.on("close", () => resolve(got === "" ? "refused" : got));
      secure.write("GET /open/ HTTP/1.1\r\nHost: mail.example\r\nConnection: close\r\n\r\n");
    });
  });
}

const clientOf = (): string | undefined =>
  (house.seen[0]?.header as WebRequest | undefined)?.clientAddress;

describe("CAP-15 behind a balancer", () => {
  const told: readonly (readonly [string, Buffer | string, string])[] = [
    ["v1 over IPv4", "PROXY TCP4 203.0.113.9 192.0.2.1 12345 443\r\n", "203.0.113.9"],
    ["v1 over IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 12345 443\r\n", "2001:db8::7"],
    ["v2 over IPv4", binary(1, 0x11, ipv4), "203.0.113.9"],
    ["v2 over IPv6", binary(1, 0x21, ipv6), "2001:db8::7"],
    [
      "v2 with further fields",
      binary(1, 0x11, Buffer.concat([ipv4, Buffer.alloc(40)])),
      "203.0.113.9",
    ],
    ["a balancer of its own (LOCAL)", binary(0, 0, Buffer.alloc(0)), "127.0.0.1"],
    ["v1 of unknown origin", "PROXY UNKNOWN\r\n", "127.0.0.1"],
  ];
  for (const [name, header, expected] of told) {
    test(`the client is who the balancer says: ${name}`, async () => {
      for (const split of [false, true]) {
        house.seen.length = 0;
        assert.match(await ask(header, split), /you asked \/open\//);
        assert.equal(clientOf(), expected);
      }
    });
  }

  const broken: readonly (readonly [string, Buffer | string])[] = [
    ["none at all", ""],
    ["not an address", "PROXY TCP4 999.0.113.9 192.0.2.1 12345 443\r\n"],
    ["without an end", `PROXY TCP4 ${" ".repeat(200)}`],
    ["v2 that is too long", binary(1, 0x11, Buffer.alloc(4000))],
    ["an HTTP request", "GET / HTTP/1.1\r\n\r\n"],
  ];
  for (const [name, header] of broken) {
    test(`a header that is ${name} ends the connection`, async () => {
      assert.equal(await ask(header), "refused");
      assert.equal(house.seen.length, 0);
    });
  }

  test("caps count clients, not the balancer", async () => {
    const held: Socket[] = [];
    const hold = (address: string): Promise<boolean> =>
      new Promise((resolve) => {
        const socket = connectTcp({ host: "127.0.0.1", port });
        held.push(socket);
        socket.on("error", () => resolve(false));
        socket.on("close", () => resolve(false));
        socket.write(`PROXY TCP4 ${address} 192.0.2.1 12345 443\r\n`);
        const secure = connect({ socket, servername: "mail.example", rejectUnauthorized: false });
        secure.on("error", () => resolve(false));
        secure.once("secureConnect", () => resolve(true));
      });
    const one = await Promise.all(Array.from({ length: 5 }, () => hold("198.51.100.1")));
    assert.equal(one.filter(Boolean).length, 4);
    assert.equal(await hold("198.51.100.2"), true);
    for (const socket of held) socket.destroy();
  });

  test("whoever is not trusted says nothing of others", async () => {
    await using alone = await openHouse();
    const header = "PROXY TCP4 203.0.113.9 192.0.2.1 12345 443\r\n";
    const socket = connectTcp({ host: "127.0.0.1", port: alone.edge.endpoint.port });
    socket.on("error", () => {});
    socket.resume();
    socket.write(header);
    await new Promise((resolve) => socket.once("close", resolve));
    assert.equal(alone.seen.length, 0);
  });

  test("a network that is none is a fault of the settings", async () => {
    await assert.rejects(openHouse({ settings: { proxyTrusted: ["balancer"] } }), Misconfigured);
  });
});
