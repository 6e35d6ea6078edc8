import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { listText, probeText, showText } from "./connector.ts";

const nowMs = Date.UTC(2026, 10, 22);
const dayMs = 86_400_000;

describe("listText()", () => {
  const secret = { file: "f", ageDays: 353, isExpired: false, openToAll: false };
  const row = (login: object, more: object = {}) =>
    listText(
      [
        {
          name: "provider",
          direction: "outbound",
          spaces: ["*"],
          tls: { level: "required" },
          login: { user: "us", secrets: [], ...login },
          ...more,
        },
      ],
      nowMs,
    );

  const cases = [
    [{ ...secret, expiresAtMs: nowMs + 12.5 * dayMs }, "353 days old, expires in 12 days"],
    [{ ...secret, expiresAtMs: nowMs - 3.5 * dayMs }, "353 days old, expired 3 days ago"],
    [{ ...secret, ageDays: 1, expiresAtMs: nowMs + dayMs }, "1 day old, expires in 1 day"],
    [{ ...secret, expiresAtMs: nowMs + 5 }, "353 days old, expires today"],
    [{ ...secret, expiresAtMs: nowMs - 5 }, "353 days old, expired today"],
    [{ ...secret, openToAll: true }, "353 days old, readable by everybody"],
  ] as const;
  for (const [one, expected] of cases) {
    test(`CAP-45 says "${expected}"`, () => {
      const expectedRow = `provider  out  tls required\n    to *\n    login us: ${expected}`;
      assert.equal(row({ secrets: [one] }), expectedRow);
    });
  }

  test("CAP-45 says that a secret is missing, and how the hosts did", () => {
    assert.match(row({ fault: "f: no secret there" }), /us: f: no secret there$/);
    const remote = "mx.example [192.0.2.1]";
    const health = [{ remote, succeededAtMs: 1, failedAtMs: nowMs, failure: "451 4.7.0 no" }];
    const told = row({}, { health });
    assert.match(told, /failed 2026-11-22 00:00:00Z mx\.example \[192\.0\.2\.1\]$/m);
    assert.match(told, /^ {4}said 451 4\.7\.0 no$/m);
    assert.match(row({}, { opensAtMs: nowMs }), /closed until 2026-11-22 00:00:00Z$/m);
  });

  test("CAP-42 no line is wider than a terminal, however much there is to say", () => {
    const failure = "451 4.7.0 no\u001b[2J and here is why ".repeat(10);
    const health = [{ remote: "mx1.provider.example [192.0.2.1]", failedAtMs: nowMs, failure }];
    const spaces = Array.from({ length: 40 }, (_, at) => `partner${at}.example`);
    const secrets = [secret, { ...secret, openToAll: true }];
    const told = row({ secrets }, { spaces, health });
    for (const line of told.split("\n")) assert.ok(line.length <= 100, line);
    assert.ok(told.includes("partner39.example"));
    assert.ok(!told.includes("\u001b"));
  });

  test("shows a partner by the door, its networks and its domains", () => {
    const text = listText(
      [
        {
          name: "partner",
          direction: "inbound",
          door: "edge",
          networks: ["192.0.2.0/24"],
          senderDomains: ["partner.example"],
          tls: { level: "required" },
        },
      ],
      nowMs,
    );
    const expected = "partner  in (edge)  tls required\n    from 192.0.2.0/24 partner.example";
    assert.equal(text, expected);
  });
});

test("showText() writes one fact a line, times as times", () => {
  const secret = { file: "s", ageDays: 1, expiresAtMs: nowMs, isExpired: false, openToAll: false };
  const text = showText({
    name: "provider",
    direction: "outbound",
    spaces: ["*", "a.example"],
    tls: { level: "required" },
    login: { user: "us", secrets: [secret] },
    health: [],
  });
  assert.equal(
    text.replace(/ {2,}/g, " | "),
    `name | provider
direction | outbound
spaces | * a.example
tls.level | required
login.user | us
login.secrets.0.file | s
login.secrets.0.ageDays | 1
login.secrets.0.expiresAt | 2026-11-22 00:00:00Z
login.secrets.0.isExpired | false
login.secrets.0.openToAll | false
health | -`,
  );
});

describe("probeText()", () => {
  test("CAP-42 says which connector a domain uses, why, and what its hosts answered", () => {
    const text = probeText({
      connector: "a",
      domain: "partner.example",
      ranked: [
        { connector: "a", space: "partner.example", cost: 0 },
        { connector: "default", space: "*", cost: 0 },
      ],
      hosts: [
        {
          host: "mx.example",
          port: 25,
          ok: true,
          policy: "dane",
          tls: { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384", proof: "dane" },
          login: "us",
        },
        { host: "mx2.example", port: 25, ok: false, phase: "tls", reply: "454 no TLS" },
      ],
    });
    assert.equal(
      text,
      `partner.example goes by "a": its space partner.example at cost 0 is the most specific
  not by "default": its space * at cost 0 comes after it
a now:
  mx.example:25   ok             TLSv1.3, TLS_AES_256_GCM_SHA384, proved by dane, policy dane, logged in as us
  mx2.example:25  failed at tls  454 no TLS`,
    );
  });
});
