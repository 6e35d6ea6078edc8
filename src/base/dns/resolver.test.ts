import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { describe, test } from "node:test";
import { type Clock, systemClock } from "#base/clock";
import { createResolver, dnsParameters, type ResolverOptions, resolverSettings } from "#base/dns";
import { Misconfigured } from "#base/errors";
import { systemRandom } from "#base/random";
import { startFakeDns, type Zone } from "../../../tests/kit/fake-dns.ts";
import { parseServers, systemServers } from "./servers.ts";

const long = "x".repeat(3000);
const zone: Zone = {
  "example.org": [
    { A: "192.0.2.1" },
    { A: "192.0.2.2" },
    { AAAA: "2001:db8::1" },
    { MX: [10, "MX.example.org"] },
    { MX: [20, "mx.other.example"] },
    { TXT: ["v=spf1 ", "-all"] },
    { TXT: "größe" },
  ],
  "long.example.org": [{ TXT: long }],
  "alias.example.org": [{ CNAME: "second.example.org" }],
  "second.example.org": [{ CNAME: "example.org" }],
  "lost.example.org": [{ CNAME: "nowhere.example.org" }],
  "loop.example.org": [{ CNAME: "loop.example.org" }],
  "null.example.org": [{ MX: [0, ""] }],
  "slow.example.org": [{ A: "192.0.2.9" }, "TIMEOUT"],
  "broken.example.org": ["SERVFAIL"],
  "1.2.0.192.in-addr.arpa": [{ PTR: "mail.example.org" }],
  "_25._tcp.mx.example.org": [
    { TLSA: { usage: 3, selector: 1, matching: 1, data: "ab".repeat(32) } },
  ],
  "_imaps._tcp.example.org": [
    { SRV: { priority: 0, weight: 1, port: 993, target: "mx.example.org" } },
  ],
};

const common = {
  clock: systemClock,
  random: systemRandom,
  timeoutMs: 150,
  attempts: 2,
  cacheEntries: 100,
} satisfies ResolverOptions;

async function withServer<Value>(
  use: (
    server: Awaited<ReturnType<typeof startFakeDns>>,
    ask: ReturnType<typeof createResolver>,
  ) => Promise<Value>,
  more: {
    zone?: Zone;
    server?: Parameters<typeof startFakeDns>[1];
    options?: Partial<ResolverOptions>;
  } = {},
): Promise<Value> {
  await using server = await startFakeDns(more.zone ?? zone, more.server);
  return await use(
    server,
    createResolver({ ...common, servers: [server.endpoint], ...more.options }),
  );
}

describe("Resolver.query()", () => {
  test("gives the records of each type", async () => {
    await withServer(async (_server, dns) => {
      const recordsOf = async (name: string, type: Parameters<typeof dns.query>[1]) => {
        const answer = await dns.query(name, type);
        return answer.kind === "found" ? answer.records : answer;
      };
      assert.deepEqual(await recordsOf("Example.ORG.", "A"), [
        { address: "192.0.2.1" },
        { address: "192.0.2.2" },
      ]);
      assert.deepEqual(await recordsOf("example.org", "AAAA"), [{ address: "2001:db8::1" }]);
      assert.deepEqual(await recordsOf("example.org", "MX"), [
        { preference: 10, exchange: "mx.example.org" },
        { preference: 20, exchange: "mx.other.example" },
      ]);
      const octets = Buffer.from("größe").toString("latin1");
      assert.deepEqual(await recordsOf("example.org", "TXT"), [
        { text: "v=spf1 -all" },
        { text: octets },
      ]);
      assert.deepEqual(await recordsOf("1.2.0.192.in-addr.arpa", "PTR"), [
        { name: "mail.example.org" },
      ]);
      assert.deepEqual(await recordsOf("null.example.org", "MX"), [
        { preference: 0, exchange: "." },
      ]);
      assert.deepEqual(await recordsOf("_25._tcp.mx.example.org", "TLSA"), [
        { usage: 3, selector: 1, matching: 1, data: "ab".repeat(32) },
      ]);
      assert.deepEqual(await recordsOf("_imaps._tcp.example.org", "SRV"), [
        { priority: 0, weight: 1, port: 993, target: "mx.example.org" },
      ]);
    });
  });

  test("asks by TCP when the answer does not fit a datagram", async () => {
    await withServer(async (server, dns) => {
      const answer = await dns.query("long.example.org", "TXT");
      assert.deepEqual(answer.kind === "found" && answer.records, [{ text: long }]);
      assert.deepEqual(
        server.queries.map((query) => query.transport),
        ["udp", "tcp"],
      );
    });
  });

  for (const leaveAliases of [false, true]) {
    test(`follows aliases ${leaveAliases ? "itself" : "in the answer"}`, async () => {
      await withServer(
        async (_server, dns) => {
          const found = await dns.query("alias.example.org", "A");
          assert.equal(found.kind === "found" && found.records.length, 2);
          const lost = await dns.query("lost.example.org", "A");
          assert.deepEqual(lost, { kind: "none", nxdomain: true });
          assert.equal((await dns.query("loop.example.org", "A")).kind, "failed");
        },
        { server: { leaveAliases } },
      );
    });
  }

  test("tells a name without such records from a name that is not", async () => {
    await withServer(async (_server, dns) => {
      assert.deepEqual(await dns.query("example.org", "PTR"), { kind: "none", nxdomain: false });
      assert.deepEqual(await dns.query("no.example.org", "A"), { kind: "none", nxdomain: true });
      const never = { kind: "none", nxdomain: true };
      assert.deepEqual(await dns.query(`${"a".repeat(64)}.org`, "A"), never);
      assert.deepEqual(await dns.query("a..org", "A"), never);
      assert.deepEqual(await dns.query("", "A"), never);
    });
  });

  test("fails on silence after all tries, and at once on a failing only server", async () => {
    await withServer(async (server, dns) => {
      assert.deepEqual(await dns.query("slow.example.org", "TXT"), {
        kind: "failed",
        why: "timeout",
      });
      assert.equal(server.queries.length, 2);
      assert.deepEqual(await dns.query("broken.example.org", "A"), {
        kind: "failed",
        why: "server failure",
      });
      assert.equal(server.queries.length, 3);
      assert.equal((await dns.query("slow.example.org", "A")).kind, "found");
    });
  });

  test("goes to the next server when one is not there, and stays with it", async () => {
    await withServer(async (server) => {
      const dead = { host: "127.0.0.1", port: 9 };
      const dns = createResolver({ ...common, servers: [dead, server.endpoint] });
      assert.equal((await dns.query("example.org", "A")).kind, "found");
      assert.equal((await dns.query("example.org", "MX")).kind, "found");
    });
  });

  test("believes the AD bit of a local server", async () => {
    const ask = async (authenticated: boolean) =>
      await withServer(async (_server, dns) => await dns.query("example.org", "A"), {
        server: { authenticated },
      });
    const [yes, no] = [await ask(true), await ask(false)];
    assert.equal(yes.kind === "found" && yes.authenticated, true);
    assert.equal(no.kind === "found" && no.authenticated, false);
  });

  test("passes over datagrams that answer something else, and asks by TCP in a flood", async () => {
    const server = createSocket("udp4");
    server.on("message", (message, from) => {
      for (let guess = 1; guess <= 8; guess += 1) {
        const forged = Buffer.from(message);
        forged.writeUInt16BE((message.readUInt16BE(0) + guess) & 0xffff, 0);
        forged.writeUInt16BE(0x8180, 2);
        server.send(forged, from.port, from.address);
      }
    });
    await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
    const { port } = server.address();
    const dns = createResolver({ ...common, servers: [{ host: "127.0.0.1", port }], attempts: 1 });
    const answer = await dns.query("example.org", "A");
    server.close();
    assert.deepEqual(answer, { kind: "failed", why: "unreachable" }); // nobody listens on TCP there
  });
});

describe("the cache", () => {
  /** A clock whose time is set by hand; timers are the system's. */
  const clockAt = (): Clock & { ms: number } => ({
    ms: 0,
    nowMs: () => 0,
    after: (delayMs, run) => systemClock.after(delayMs, run),
    tickMs() {
      return this.ms;
    },
  });

  test("keeps an answer for its time and shares look-ups under way", async () => {
    const clock = clockAt();
    await withServer(
      async (server, dns) => {
        assert.equal(dns.cached("example.org", "A"), undefined);
        const [one, two] = await Promise.all([
          dns.query("example.org", "A"),
          dns.query("EXAMPLE.org", "A"),
        ]);
        assert.equal(one, two);
        assert.equal(dns.cached("example.org.", "A"), one);
        assert.equal(dns.query("example.org", "A"), dns.query("example.org", "A"));
        assert.equal(server.queries.length, 1);
        clock.ms = 29_999;
        assert.notEqual(dns.cached("example.org", "A"), undefined);
        clock.ms = 30_001;
        assert.equal(dns.cached("example.org", "A"), undefined);
        await dns.query("example.org", "A");
        assert.equal(server.queries.length, 2);
      },
      { server: { ttl: 30 }, options: { clock } },
    );
  });

  test("keeps that there is none, and a failure for seconds only", async () => {
    const clock = clockAt();
    await withServer(
      async (_server, dns) => {
        await dns.query("no.example.org", "A");
        await dns.query("broken.example.org", "A");
        assert.equal(dns.cached("no.example.org", "A")?.kind, "none");
        assert.equal(dns.cached("broken.example.org", "A")?.kind, "failed");
        clock.ms = 6000;
        assert.equal(dns.cached("no.example.org", "A")?.kind, "none");
        assert.equal(dns.cached("broken.example.org", "A"), undefined);
      },
      { options: { clock } },
    );
  });

  test("never holds more than it may", async () => {
    await withServer(
      async (_server, dns) => {
        for (let index = 0; index < 10; index += 1) await dns.query(`n${index}.example.org`, "A");
        const held = Array.from({ length: 10 }, (_, index) =>
          dns.cached(`n${index}.example.org`, "A"),
        ).filter((answer) => answer !== undefined);
        assert.equal(held.length, 4);
        await dns.query("long.example.org", "TXT");
        assert.equal(dns.cached("n9.example.org", "A")?.kind, "none");
      },
      { options: { cacheEntries: 4 } },
    );
  });
});

describe("servers", () => {
  test("come from resolv.conf, three at most, else the local host", () => {
    const text =
      "# nameserver 1.1.1.1\nsearch x\nnameserver 192.0.2.1\n nameserver\t::1\nnameserver x\n";
    assert.deepEqual(parseServers(text), [
      { host: "192.0.2.1", port: 53 },
      { host: "::1", port: 53 },
    ]);
    assert.deepEqual(systemServers("/nowhere/resolv.conf"), [{ host: "127.0.0.1", port: 53 }]);
  });

  test("come from the settings with their port", () => {
    const servers = ["192.0.2.1", "127.0.0.1:5353", "[::1]:53", "2001:db8::1"];
    const given = {
      servers,
      timeoutMs: 1,
      attempts: 1,
      cacheEntries: 1,
      trustAuthenticated: false,
    };
    assert.deepEqual(resolverSettings(given).servers, [
      { host: "192.0.2.1", port: 53 },
      { host: "127.0.0.1", port: 5353 },
      { host: "::1", port: 53 },
      { host: "2001:db8::1", port: 53 },
    ]);
    for (const bad of ["localhost:53", "127.0.0.1:0", "127.0.0.1:99999", ""]) {
      assert.throws(() => resolverSettings({ ...given, servers: [bad] }), Misconfigured);
    }
    assert.deepEqual(dnsParameters.servers.default, []);
  });
});
