import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultsOf } from "#base/parameters";
import {
  checkInbound,
  completeInbound,
  type InboundValues,
  inboundParameters,
  matchInbound,
} from "./index.ts";

const print = "0f".repeat(32);
const keyPrint = "1e".repeat(32);
const networks = ["192.0.2.0/24"];

function values(some: Partial<InboundValues>): InboundValues {
  return { ...defaultsOf(inboundParameters), ...some };
}

const complete = (some: Partial<InboundValues>, name = "a") => completeInbound(name, values(some));

const login = { user: "partner", secretFiles: ["f"], senderDomains: ["partner.example"] };

describe("completeInbound()", () => {
  test("CAP-42 reads a partner", () => {
    const some = { ...login, networks, tls: "required", tlsMinVersion: "1.3", trusted: true };
    assert.deepEqual(complete({ ...some, senderDomains: ["Partner.Example", "bücher.example"] }), {
      name: "a",
      door: "edge",
      networks,
      certificates: [],
      user: "partner",
      secretFiles: ["f"],
      secretMaxAgeDays: 365,
      senderDomains: ["partner.example", "xn--bcher-kva.example"],
      requireTls: true,
      minVersion: "TLSv1.3",
      trusted: true,
      mayRelay: false,
    });
  });

  const wrong: readonly (readonly [Partial<InboundValues>, RegExp])[] = [
    [{}, /^inbound\.a\.networks is empty, as are certificates and user/],
    [{ door: "relay", mayRelay: true }, /^inbound\.a\.networks is empty, as are/],
    [{ networks: ["192.0.2.0/33"] }, /^inbound\.a\.networks holds "192\.0\.2\.0\/33"/],
    [{ certificates: ["0f"] }, /^inbound\.a\.certificates holds "0f"/],
    [{ networks, senderDomains: [".a.example"] }, /^inbound\.a\.senderDomains holds "\.a\.exa/],
    [{ networks, mayRelay: true }, /^inbound\.a\.mayRelay does not go with door = "edge"/],
    [{ networks, secretFiles: ["f"] }, /^inbound\.a\.secretFiles needs a user/],
    [{ ...login, secretFiles: [] }, /^inbound\.a\.secretFiles names no file/],
    [{ ...login, secretFiles: ["a", "b", "c"] }, /^inbound\.a\.secretFiles holds more than/],
    [{ ...login, senderDomains: [] }, /^inbound\.a\.senderDomains is empty/],
    [{ networks, tlsGroups: ["x"] }, /^inbound\.a\.tlsGroups holds "x"/],
  ];
  for (const [some, expected] of wrong) {
    test(`CAP-42 refuses ${JSON.stringify(some)}`, () => {
      assert.throws(() => complete(some), { name: "Misconfigured", message: expected });
    });
  }
});

describe("checkInbound()", () => {
  test("CAP-44 refuses one login for two connectors of a door", () => {
    const [one, other] = [complete(login, "one"), complete(login, "other")];
    assert.throws(() => checkInbound([one, other]), {
      name: "Misconfigured",
      message: "inbound.other.user is that of [inbound.one] too",
    });
    checkInbound([one, complete({ ...login, door: "relay" }, "inside")]);
  });
});

describe("matchInbound()", () => {
  const connectors = [
    complete({ networks: ["192.0.2.0/24", "2001:db8::/32"] }, "wide"),
    complete({ networks: ["192.0.2.0/28"] }, "narrow"),
    complete({ networks: ["192.0.2.0/28"] }, "same"),
    complete({ networks: ["192.0.2.9"], certificates: [print, keyPrint] }, "shown"),
    complete({ certificates: [print] }, "anywhere"),
    complete({ ...login, networks: ["198.51.100.0/24"] }, "partner"),
    complete({ networks: ["0.0.0.0/0"], door: "relay", mayRelay: true }, "relay"),
  ];
  const cases = [
    [{ address: "192.0.2.200" }, "wide"],
    [{ address: "192.0.2.1" }, "narrow"],
    [{ address: "::ffff:192.0.2.1" }, "narrow"],
    [{ address: "2001:db8::1" }, "wide"],
    [{ address: "192.0.2.9", certificate: print }, "shown"],
    [{ address: "192.0.2.9", key: keyPrint }, "shown"],
    [{ address: "192.0.2.9", certificate: "00" }, "narrow"],
    [{ address: "192.0.2.1", certificate: print }, "anywhere"],
    [{ address: "203.0.113.1", certificate: print }, "anywhere"],
    [{ address: "203.0.113.1" }, undefined],
    [{ address: "198.51.100.1" }, undefined],
    [{ address: "198.51.100.1", user: "partner" }, "partner"],
    [{ address: "203.0.113.1", user: "partner" }, undefined],
    [{ address: "192.0.2.1", user: "stranger" }, "narrow"],
    [{ address: "" }, undefined],
    [{ address: "no address" }, undefined],
  ] as const;
  for (const [peer, expected] of cases) {
    test(`CAP-42 takes ${JSON.stringify(peer)} by ${expected ?? "none"}`, () => {
      assert.equal(matchInbound(connectors, "edge", peer)?.name, expected);
      assert.equal(matchInbound(connectors.toReversed(), "edge", peer)?.name, expected);
    });
  }

  test("CAP-42 keeps the doors apart", () => {
    assert.equal(matchInbound(connectors, "relay", { address: "203.0.113.1" })?.name, "relay");
    assert.equal(matchInbound(connectors, "lmtp", { address: "192.0.2.1" }), undefined);
  });
});
