import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultsOf } from "#base/parameters";
import {
  checkOutbound,
  completeOutbound,
  defaultOutbound,
  directOf,
  type OutboundValues,
  outboundParameters,
} from "./index.ts";

const pin = "ab".repeat(32);

function values(some: Partial<OutboundValues>): OutboundValues {
  return { ...defaultsOf(outboundParameters), spaces: ["partner.example"], ...some };
}

const complete = (some: Partial<OutboundValues>, name = "a") =>
  completeOutbound(name, values(some));

const login = {
  hosts: ["smtp.provider.example:587"],
  tls: "required",
  auth: "plain",
  user: "us",
  secretFiles: ["present"],
} as const;

describe("completeOutbound()", () => {
  test("CAP-42 is the default way but for its name and spaces when nothing else is said", () => {
    assert.deepEqual(complete({ spaces: ["*"] }), { ...defaultOutbound, name: "a" });
  });

  test("CAP-42 reads a smart host with everything", () => {
    const connector = complete({
      spaces: ["*", ".Example.NET"],
      hosts: ["Smtp.Provider.example", "192.0.2.1:587", "[2001:db8::1]:2525", "[2001:db8::2]"],
      whenDown: "direct",
      tls: "required",
      tlsNames: ["*.provider.example"],
      tlsMinVersion: "1.3",
      tlsGroups: ["X25519MLKEM768", "X25519"],
      tlsAuthorityFile: "authority.pem",
      tlsCertificateFile: "us.pem",
      tlsKeyFile: "us.key",
      auth: "scram",
      user: "us",
      secretFiles: ["present", "next"],
      sourceAddress: "192.0.2.9",
      heloName: "out.us.example",
      schedule: ["Mon-Fri 20:00-06:00"],
    });
    assert.deepEqual(connector.hosts, [
      { host: "smtp.provider.example", port: 25 },
      { host: "192.0.2.1", port: 587 },
      { host: "2001:db8::1", port: 2525 },
      { host: "2001:db8::2", port: 25 },
    ]);
    assert.deepEqual(connector.tls, {
      level: "required",
      names: ["*.provider.example"],
      pins: [],
      authorities: ["authority.pem"],
      minVersion: "TLSv1.3",
      groups: ["X25519MLKEM768", "X25519"],
      implicit: false,
      client: { certificate: "us.pem", key: "us.key" },
    });
    assert.deepEqual(connector.login, {
      mechanism: "scram",
      user: "us",
      secretFiles: ["present", "next"],
      secretMaxAgeDays: 365,
    });
  });

  test("takes pins with colons and capitals, and the usual ports", () => {
    const colons = "AB:".repeat(32).slice(0, -1);
    assert.deepEqual(complete({ tls: "pinned", tlsPins: [colons, pin] }).tls.pins, [pin, pin]);
    const ports = (some: Partial<OutboundValues>) =>
      complete({ hosts: ["h"], ...some }).hosts[0]?.port;
    assert.equal(ports({ tlsImplicit: true }), 465);
    assert.equal(ports({ protocol: "lmtp", via: "inside" }), 24);
  });

  const wrong: readonly (readonly [Partial<OutboundValues>, RegExp])[] = [
    [{ spaces: [] }, /^outbound\.a\.spaces is empty/],
    [
      { spaces: ["*.example.net"] },
      /^outbound\.a\.spaces holds "\*\.example\.net", which is neither/,
    ],
    [{ hosts: ["a b"] }, /^outbound\.a\.hosts holds "a b"/],
    [{ hosts: ["a:0"] }, /^outbound\.a\.hosts holds "a:0"/],
    [{ hosts: ["a:65536"] }, /^outbound\.a\.hosts holds/],
    [{ hosts: ["2001:db8::1"] }, /^outbound\.a\.hosts holds .* \[IPv6\]:port$/],
    [{ hosts: ["[192.0.2.1]"] }, /^outbound\.a\.hosts holds/],
    [{ tls: "pinned" }, /^outbound\.a\.tlsPins is empty/],
    [{ tls: "pinned", tlsPins: ["ab"] }, /^outbound\.a\.tlsPins holds "ab", which is not SHA-256/],
    [{ tlsPins: [pin] }, /^outbound\.a\.tlsPins needs tls = "pinned"/],
    [{ tls: "pinned", tlsPins: [pin], tlsNames: ["a"] }, /^outbound\.a\.tlsNames needs tls = "req/],
    [{ tlsAuthorityFile: "f" }, /^outbound\.a\.tlsAuthorityFile needs tls = "required"/],
    [{ tls: "required", tlsNames: ["*"] }, /^outbound\.a\.tlsNames holds "\*"/],
    [{ tls: "none" }, /^outbound\.a\.tls none needs via = "inside"/],
    [
      { tls: "none", via: "inside", hosts: ["h"], tlsImplicit: true },
      /^outbound\.a\.tlsImplicit does not go with tls = none/,
    ],
    [{ tlsImplicit: true }, /^outbound\.a\.tlsImplicit needs hosts/],
    [{ tlsCertificateFile: "f" }, /^outbound\.a\.tlsKeyFile is missing/],
    [{ tlsKeyFile: "f" }, /^outbound\.a\.tlsCertificateFile is missing/],
    [{ tlsGroups: ["X25519", "nonsense"] }, /^outbound\.a\.tlsGroups holds "nonsense"/],
    [{ tlsGroups: ["X25519:P-256"] }, /^outbound\.a\.tlsGroups holds "X25519:P-256"/],
    [{ protocol: "lmtp", hosts: ["h"] }, /^outbound\.a\.protocol lmtp needs via = "inside"/],
    [{ protocol: "lmtp", via: "inside" }, /^outbound\.a\.hosts is empty, which via = "inside"/],
    [{ via: "inside" }, /^outbound\.a\.hosts is empty, which via = "inside" needs/],
    [{ whenDown: "direct" }, /^outbound\.a\.whenDown direct needs hosts/],
    [
      { whenDown: "direct", hosts: ["h"], via: "inside" },
      /^outbound\.a\.whenDown direct does not go with via = "inside"/,
    ],
    [
      { whenDown: "direct", hosts: ["h"], tls: "pinned", tlsPins: [pin] },
      /^outbound\.a\.whenDown direct does not go with tls = pinned/,
    ],
    [{ user: "u" }, /^outbound\.a\.user needs auth, which is none/],
    [{ secretFiles: ["f"] }, /^outbound\.a\.secretFiles needs auth, which is none/],
    [{ ...login, user: "" }, /^outbound\.a\.user is missing, which auth = "plain" needs/],
    [{ ...login, user: "a\0b" }, /^outbound\.a\.user is no user name/],
    [{ ...login, secretFiles: [] }, /^outbound\.a\.secretFiles names no file/],
    [{ ...login, secretFiles: ["a", "b", "c"] }, /^outbound\.a\.secretFiles holds more than/],
    [{ ...login, hosts: [] }, /^outbound\.a\.auth needs hosts/],
    [{ sourceAddress: "eth0" }, /^outbound\.a\.sourceAddress is "eth0", which is no address/],
    [{ heloName: "a b" }, /^outbound\.a\.heloName is "a b", which is no host name/],
    [{ schedule: ["night"] }, /^outbound\.a\.schedule holds "night", which is not written as/],
  ];
  for (const [some, expected] of wrong) {
    test(`CAP-42 refuses ${JSON.stringify(some)}`, () => {
      assert.throws(() => complete(some), { name: "Misconfigured", message: expected });
    });
  }

  for (const auth of ["scram", "plain", "oauthbearer"]) {
    test(`CAP-44 gives a ${auth} login to nobody but a verified server`, () => {
      for (const tls of ["opportunistic", "none"]) {
        assert.throws(() => complete({ ...login, auth, tls, via: "inside" }), {
          name: "Misconfigured",
          message: /^outbound\.a\.auth needs tls = "required" or "pinned"/,
        });
      }
      assert.equal(complete({ ...login, auth }).login?.mechanism, auth);
      assert.ok(complete({ ...login, auth, tls: "pinned", tlsPins: [pin] }).login);
    });
  }

  test("refuses names that traces and commands could not carry, and our own", () => {
    for (const name of ["A", "a b", "a.b", "", "1a", "a".repeat(33)]) {
      assert.throws(
        () => complete({}, name),
        /^Misconfigured: outbound\..*: a name is small letters/,
      );
    }
    assert.throws(() => complete({}, "default"), /outbound\.default: the name is our own/);
  });
});

describe("checkOutbound()", () => {
  test("CAP-42 refuses the same space at the same cost, and takes another cost", () => {
    const one = complete({ spaces: ["a.example", "b.example"] }, "one");
    const other = complete({ spaces: ["B.example."] }, "other");
    const dear = complete({ spaces: ["B.example."], cost: 5 }, "dear");
    checkOutbound([one, dear]);
    assert.throws(() => checkOutbound([one, other]), {
      name: "Misconfigured",
      message: "outbound.other.spaces holds b.example at cost 0, as [outbound.one] does",
    });
    const twice = complete({ spaces: ["a.example", "A.example"] }, "twice");
    assert.throws(() => checkOutbound([twice]), /outbound\.twice\.spaces holds a\.example twice/);
  });
});

describe("directOf()", () => {
  test("CAP-47 takes nothing to the MX that was for the provider, and asks no less of TLS", () => {
    const direct = directOf(
      complete({ ...login, tlsNames: ["p.example"], tlsAuthorityFile: "f", tlsImplicit: true }),
    );
    assert.deepEqual(direct.hosts, []);
    assert.equal(direct.login, undefined);
    assert.deepEqual(direct.tls, {
      level: "required",
      names: [],
      pins: [],
      minVersion: "TLSv1.2",
      implicit: false,
    });
  });
});
