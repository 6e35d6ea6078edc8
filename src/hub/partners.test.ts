/** CAP-46: what is believed of an edge that says who a partner is, and what readers are told. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatResult } from "#formats/auth-results";
import type { Connection } from "#model/connection";
import type { InboundConnector } from "#model/connector";
import { believed, partnerOf, partnerVerdicts } from "./partners.ts";
import { readDeposit } from "./schemas.ts";

const print = "ab".repeat(32);

function connector(name: string, more: Partial<InboundConnector>): InboundConnector {
  return {
    ...{ name, door: "edge", networks: [], certificates: [], senderDomains: [] },
    ...{ requireTls: false, minVersion: "TLSv1.2", trusted: false, mayRelay: false },
    ...more,
  };
}

const connectors = [
  connector("acme", { user: "acme-mail", senderDomains: ["acme.example"] }),
  connector("pinned", { certificates: [print] }),
  connector("near", { networks: ["192.0.2.0/24"] }),
  connector("all", { networks: ["192.0.2.0/24"], certificates: [print], user: "all" }),
  connector("inner", { door: "relay", networks: ["0.0.0.0/0"] }),
];

const tls = { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384", peerCertificate: print };
const plain: Connection = {
  ...{ listener: "smtp", clientAddress: "192.0.2.7", clientPort: 1 },
  ...{ helo: "c.example", extended: true },
};
const proven = { ...tls, proof: "pin" } as const;

describe("CAP-46 believed()", () => {
  const claims: readonly (readonly [string, Partial<Connection>, boolean])[] = [
    ["a login of the connector", { connector: "acme", authenticated: "acme-mail", tls }, true],
    ["a login of another", { connector: "acme", authenticated: "other" }, false],
    ["a connector without its login", { connector: "acme" }, false],
    ["a connector that is not there", { connector: "gone", authenticated: "acme-mail" }, false],
    ["one of another door", { connector: "inner" }, false],
    ["a pinned certificate", { connector: "pinned", tls: proven }, true],
    ["a certificate that did not stand", { connector: "pinned", tls }, false],
    ["no certificate", { connector: "pinned" }, false],
    [
      "a login where there is none",
      { connector: "pinned", authenticated: "x", tls: proven },
      false,
    ],
    ["an address of its network", { connector: "near" }, true],
    ["an address elsewhere", { connector: "near", clientAddress: "192.0.3.7" }, false],
    ["all three", { connector: "all", authenticated: "all", tls: proven }, true],
    [
      "all but the address",
      { connector: "all", authenticated: "all", tls: proven, clientAddress: "::1" },
      false,
    ],
  ];
  for (const [what, claim, isBelieved] of claims) {
    test(`${what}: ${isBelieved ? "kept" : "dropped"}`, () => {
      const given = { ...plain, ...claim };
      const { connector: _, authenticated: __, ...rest } = given;
      assert.deepEqual(believed(given, connectors), isBelieved ? given : rest);
    });
  }

  test("a login without a connector is no deposit at all", () => {
    const deposit = {
      ...{ id: "0".repeat(32), receivedBy: "mx.example", receivedAtMs: 1, steps: [] },
      envelope: { reversePath: "", recipients: [{ path: "a@b.example" }] },
    };
    const read = (connection: Connection): boolean => readDeposit({ ...deposit, connection }).ok;
    assert.equal(read(plain), true);
    assert.equal(read({ ...plain, connector: "acme", authenticated: "acme-mail" }), true);
    assert.equal(read({ ...plain, authenticated: "acme-mail" }), false);
  });
});

describe("CAP-46 what it comes to", () => {
  const shown = (connection: Partial<Connection>): readonly string[] =>
    partnerVerdicts({ ...plain, ...connection }).map(formatResult);

  test("Authentication-Results name connector and identity (RFC 8601 §2.7.4)", () => {
    assert.deepEqual(shown({}), []);
    assert.deepEqual(shown({ connector: "near" }), []);
    assert.deepEqual(shown({ connector: "acme", authenticated: "acme-mail", tls }), [
      "auth=pass smtp.auth=acme-mail policy.connector=acme",
    ]);
    assert.deepEqual(shown({ connector: "all", authenticated: "all", tls: proven }), [
      "auth=pass smtp.auth=all policy.connector=all",
      `x-connector=pass policy.connector=all policy.certificate=${print}`,
    ]);
  });

  test("an address alone makes nobody a partner", () => {
    const of = (connection: Partial<Connection>) => partnerOf({ ...plain, ...connection });
    assert.equal(of({ connector: "near" }), undefined);
    assert.equal(of({ connector: "near", tls }), undefined);
    assert.deepEqual(of({ connector: "pinned", tls: proven }), {
      ...{ connector: "pinned", identity: print, by: "certificate" },
    });
    assert.deepEqual(of({ connector: "acme", authenticated: "acme-mail" }), {
      ...{ connector: "acme", identity: "acme-mail", by: "login" },
    });
  });
});
