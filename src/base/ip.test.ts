import assert from "node:assert/strict";
import { isIP } from "node:net";
import { describe, test } from "node:test";
import { clientNetwork, formatIp, isPublicAddress, parseIp, plainAddress } from "#base/ip";
import { pick, seededRandom } from "#base/random";

describe("parseIp() and formatIp()", () => {
  const cases = [
    ["192.0.2.1", "192.0.2.1"],
    ["::", "::"],
    ["::1", "::1"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["fe80::", "fe80::"],
    ["::ffff:192.0.2.1", "::ffff:c000:201"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ] as const;
  for (const [given, canonical] of cases) {
    test(`reads ${given} and writes ${canonical} (RFC 5952)`, () => {
      const octets = parseIp(given);
      assert.ok(octets);
      assert.equal(formatIp(octets), canonical);
    });
  }

  for (const bad of ["", "1.2.3", "01.2.3.4", "1.2.3.256", ":::", "1::2::3", "fe80::1%eth0"]) {
    test(`refuses "${bad}"`, () => assert.equal(parseIp(bad), undefined));
  }

  test("agrees with the system about what is an address", () => {
    const random = seededRandom(4291);
    const alphabet = ["::", ":", ".", "0", "1", "ff", "abcd", "255", "300", "g"];
    for (let round = 0; round < 50_000; round += 1) {
      const length = 1 + pick(random, 16);
      const text = Array.from({ length }, () => alphabet[pick(random, alphabet.length)]).join("");
      const octets = parseIp(text);
      assert.equal(octets === undefined ? 0 : octets.length === 4 ? 4 : 6, isIP(text), text);
    }
  });
});

describe("isPublicAddress()", () => {
  const cases: readonly (readonly [string, boolean])[] = [
    ["192.0.2.1", true],
    ["2001:db8::1", true],
    ["127.0.0.1", false],
    ["10.1.2.3", false],
    ["172.31.0.1", false],
    ["192.168.1.1", false],
    ["169.254.169.254", false],
    ["100.64.0.1", false],
    ["0.0.0.0", false],
    ["255.255.255.255", false],
    ["::1", false],
    ["::", false],
    ["::ffff:10.0.0.1", false],
    ["::ffff:7f00:1", false],
    ["::127.0.0.1", false],
    ["64:ff9b::a00:1", false],
    ["fe80::1", false],
    ["fe80::1%eth0", false],
    ["fd00::1", false],
    ["2002:7f00:1::", false],
    ["mx.example.org", false],
  ];
  for (const [address, is] of cases) {
    test(`${address} is ${is ? "" : "not "}public`, () => {
      assert.equal(isPublicAddress(address), is);
    });
  }
});

describe("clientNetwork()", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:c000:201", "192.0.2.1"],
    ["0:0:0:0:0:ffff:192.0.2.1", "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8::1", "2001:db8::/64"],
    ["2001:db8:0:0:ffff::1", "2001:db8::/64"],
    ["fe80::1%eth0", "fe80::/64"],
    ["::1", "::/64"],
    ["::ffff:1:192.0.2.1", "::/64"], // not an IPv4 address (RFC 4291 §2.5.5.2)
    ["somewhere", "somewhere"],
    ["1:2", "1:2"],
    ["", ""],
  ];
  for (const [address, network] of cases) {
    test(`puts "${address}" into ${network}`, () => assert.equal(clientNetwork(address), network));
  }

  test("plainAddress() keeps what is no mapped address", () => {
    assert.equal(plainAddress("2001:DB8::1%eth0"), "2001:DB8::1");
    assert.equal(plainAddress("::ffff:192.0.2.256"), "::ffff:192.0.2.256");
  });
});
