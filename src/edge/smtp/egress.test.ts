import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { describe, test } from "node:test";
import { type Endpoint, systemNet } from "#base/net";
import { linkPair } from "#contracts/link";
import { type EgressPorts, egress } from "./egress.ts";
import type { EdgeEvents } from "./events.ts";

/** Asks through a link, as the inside does; nothing is dialled for real. */
function edge(more: Partial<EgressPorts> = {}) {
  const [hub, dmz] = linkPair();
  const dialled: Endpoint[] = [];
  const leftFrom: (string | undefined)[] = [];
  const net = {
    dial: async (to: Endpoint, _timeoutMs: number, from?: string) => {
      dialled.push(to);
      leftFrom.push(from);
      return duplexPair()[0];
    },
  };
  const serve = egress({
    net: net as unknown as EgressPorts["net"],
    events: { dialled() {} } as unknown as EdgeEvents,
    ports: [25, 443],
    mayDialPrivate: false,
    connections: 4,
    lookup: async () => assert.fail("an address was looked up"),
    ...more,
  });
  dmz.onStream((stream) => serve(stream));
  const ask = (host: unknown, port: unknown = 443, more: object = {}): Promise<unknown> =>
    hub.open("dial", { host, port, timeoutMs: 1000, ...more }).answered;
  return { ask, dialled, leftFrom, [Symbol.dispose]: () => hub.close("test over") };
}

const inwards = [
  ...["127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "10.255.255.255", "172.16.0.1"],
  ...["172.31.255.255", "192.168.0.1", "169.254.169.254", "100.64.0.1", "192.0.0.8"],
  ...["198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"],
  ...["::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::FFFF:10.0.0.1"],
  ...["0:0:0:0:0:ffff:c0a8:1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::"],
  ...["2001::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "100::1"],
];

describe("W6 the way out leads nowhere inside", () => {
  for (const address of inwards) {
    test(`${address}, by address and behind a name`, async () => {
      using asked = edge({ lookup: async () => [address] });
      const refused = { refused: "address is not public" };
      assert.deepEqual(await asked.ask(address), refused);
      assert.deepEqual(await asked.ask("provider.example"), refused);
      assert.deepEqual(asked.dialled, []);
    });
  }

  // Whatever a resolver makes of these, it is its answer that is looked at.
  for (const name of ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "[::1]"]) {
    test(`an odd spelling: ${name}`, async () => {
      using asked = edge({ lookup: async () => ["127.0.0.1"] });
      const answer = await asked.ask(name).catch(() => "broken");
      assert.ok(answer === "broken" || "refused" in (answer as object));
      assert.deepEqual(asked.dialled, []);
    });
  }

  test("a name that changes its mind: what was looked at is what is dialled, and once", async () => {
    let turn = 0;
    using asked = edge({ lookup: async () => [turn++ === 0 ? "198.51.100.7" : "127.0.0.1"] });
    assert.deepEqual(await asked.ask("rebind.example"), { address: "198.51.100.7" });
    assert.deepEqual(asked.dialled, [{ host: "198.51.100.7", port: 443 }]);
    assert.equal(turn, 1);
  });

  test("of several addresses only a public one is dialled", async () => {
    using asked = edge({ lookup: async () => ["10.0.0.1", "::1", "2001:db8::7"] });
    assert.deepEqual(await asked.ask("mixed.example"), { address: "2001:db8::7" });
  });

  test("other ports, and what is no request at all", async () => {
    using asked = edge();
    for (const port of [22, 80, 2526, 8080]) {
      assert.deepEqual(await asked.ask("198.51.100.7", port), {
        refused: `port ${port} is not allowed`,
      });
    }
    for (const [host, port] of [
      ["", 443],
      ["a b", 443],
      ["x\r\ny", 443],
      ["fe80::1%eth0", 443],
      ["http://198.51.100.7/", 443],
      ["user@198.51.100.7", 443],
      [["198.51.100.7"], 443],
      ["198.51.100.7", "443"],
      ["198.51.100.7", 0],
      ["198.51.100.7", 65_536],
      ["198.51.100.7", 4.43e2 + 0.5],
    ]) {
      await assert.rejects(asked.ask(host, port), JSON.stringify([host, port]));
    }
    assert.deepEqual(asked.dialled, []);
  });

  test("from an address of the edge's own, of the same family, or not at all", async () => {
    using asked = edge();
    const answer = await asked.ask("198.51.100.7", 443, { from: "192.0.2.25" });
    assert.deepEqual(answer, { address: "198.51.100.7" });
    assert.deepEqual(asked.leftFrom, ["192.0.2.25"]);
    assert.deepEqual(await asked.ask("198.51.100.7", 443, { from: "2001:db8::25" }), {
      refused: "198.51.100.7 cannot be reached from 2001:db8::25",
    });
    for (const from of ["", "mail.example", "192.0.2.25/24", 25, null, ["192.0.2.25"]]) {
      await assert.rejects(asked.ask("198.51.100.7", 443, { from }), JSON.stringify(from));
    }
    using real = edge({ net: systemNet, mayDialPrivate: true });
    assert.deepEqual(await real.ask("127.0.0.1", 443, { from: "192.0.2.25" }), {
      refused: "this machine has no address 192.0.2.25",
    });
  });

  test("no more at once than allowed", async () => {
    using asked = edge();
    for (let count = 0; count < 4; count += 1) await asked.ask("198.51.100.7");
    assert.deepEqual(await asked.ask("198.51.100.7"), {
      refused: "too many connections from the edge",
      isBusy: true,
    });
  });
});
