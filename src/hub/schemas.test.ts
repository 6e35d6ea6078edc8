import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import type { DepositEnd } from "#contracts/deposit";
import type { SenderVerdict } from "#model/verdict";
import { readAsked, readDeposit, readDepositEnd, readRefusals, readSamples } from "./schemas.ts";

const id = "0123456789abcdef0123456789abcdef";
const step = { atMs: 1.5, program: "edge-smtp", step: "mail", text: "came" };
const connection = {
  listener: "smtp",
  clientAddress: "2001:db8::1",
  clientPort: 40000,
  helo: "mx.sender.example",
  extended: true,
  tls: { version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256" },
};
const deposit = {
  id,
  receivedBy: "mx.example.org",
  connection,
  envelope: {
    reversePath: "",
    recipients: [{ path: "anna@example.org", notify: ["success"] }],
    utf8: true,
  },
  receivedAtMs: 1_795_290_000_000,
  steps: [step],
};
const internal: SenderVerdict = {
  method: "sender",
  result: "internal",
  origin: "inside",
  address: "anna@example.org",
  text: "",
  evidence: [],
};
const common = { domain: "a.example", why: "" } as const;
const depositEnd: DepositEnd = {
  contentId: "a".repeat(64),
  sizeBytes: 3,
  verdicts: [
    { method: "spf", result: "pass", identity: "helo", ...common },
    { method: "sender-id", result: "none", status: "no-pra", class: "no-list", ...common },
    {
      ...{ method: "dkim", result: "pass", selector: "s", identity: "@a.example", ...common },
      ...{ algorithm: "rsa-sha256", mark: "abcdefgh", testing: true },
    },
    {
      ...{ method: "arc", result: "pass", sealers: ["b.example"], trusted: true, why: "" },
      saw: { dmarc: "pass", fromDomain: "a.example" },
    },
    {
      ...{ method: "dmarc", result: "pass", fromDomain: "a.example", why: "", policy: "reject" },
      ...{ policyTag: "sp", spfAligned: false, dkimAligned: ["a.example"] },
    },
  ],
  decision: {
    disposition: "accept",
    opinions: [{ stage: "spf", disposition: "accept", because: "spf=pass" }],
  },
  source: { kind: "relayed", address: "2001:db8::2", helo: "a.example", passed: 1 },
  steps: [step],
};
const refusal = {
  id,
  atMs: 1,
  connection,
  reversePath: "x@a.example",
  recipients: ["anna@example.org"],
  reply: { code: 550, status: "5.1.1", text: ["no such", "user"] },
  steps: [],
};

/** The value with one place changed: a path of keys, then what stands there; undefined takes it away. */
function changed(value: object, path: string, to: unknown): unknown {
  const copy = structuredClone(value) as Record<string, unknown>;
  const keys = path.split(".");
  let at = copy;
  for (const key of keys.slice(0, -1)) at = at[key] as Record<string, unknown>;
  const last = keys.at(-1) ?? "";
  if (to === undefined) delete at[last];
  else Object.defineProperty(at, last, { value: to, enumerable: true, configurable: true });
  return copy;
}

describe("readDeposit()", () => {
  test("takes what an edge sends", () => {
    assert.deepEqual(readDeposit(deposit), { ok: true, value: deposit });
    assert.ok(readDeposit(changed(deposit, "connection.tls", undefined)).ok);
  });

  const offences: readonly (readonly [string, unknown])[] = [
    ["id", "0123456789ABCDEF0123456789abcdef"],
    ["id", undefined],
    ["id", `${id}\n`],
    ["receivedBy", "mx example"],
    ["more", 1],
    ["__proto__", { id }],
    ["connection.clientAddress", "1.2.3.256"],
    ["connection.reverseName", "a.example\r\nX: y"],
    ["connection.clientPort", 65_536],
    ["connection.clientPort", -1],
    ["connection.clientPort", 25.5],
    ["connection.clientPort", "25"],
    ["connection.authenticated", "anna@example.org"],
    ["connection.extended", "yes"],
    ["connection.helo", "x".repeat(4097)],
    ["connection.tls.cipher", undefined],
    ["connection.tls", null],
    ["envelope.recipients", []],
    ["envelope.recipients", Array.from({ length: 1001 }, () => ({ path: "a@b" }))],
    ["envelope.recipients.0.path", "a@b\r\nBcc: c@d"],
    ["envelope.recipients.0.notify", ["sometimes"]],
    ["envelope.body", "9bit"],
    ["envelope.reversePath", "<a@b>"],
    ["envelope.reversePath", "a\u0000@b"],
    ["envelope.reversePath", "a@b\u001b[2J"],
    ["envelope.reversePath", "a@b\u007f"],
    ["envelope.reversePath", `${"a".repeat(511)}@b`],
    ["receivedAtMs", "now"],
    ["receivedAtMs", Number.POSITIVE_INFINITY],
    ["receivedAtMs", -1],
    ["receivedAtMs", 253_402_300_800_000],
    ["steps.0.atMs", 8.64e15 + 1],
    ["steps.0.text", null],
    ["steps", Array.from({ length: 201 }, () => step)],
  ];
  for (const [path, to] of offences) {
    test(`refuses ${path} = ${JSON.stringify(to)?.slice(0, 40)}`, () => {
      assert.equal(readDeposit(changed(deposit, path, to)).ok, false);
    });
  }
});

describe("readDepositEnd()", () => {
  test("takes every verdict that an edge can make", () => {
    assert.deepEqual(readDepositEnd(depositEnd), { ok: true, value: depositEnd });
    assert.deepEqual(
      depositEnd.verdicts.map(({ method }) => method),
      ["spf", "sender-id", "dkim", "arc", "dmarc"],
    );
  });

  const offences: readonly (readonly [string, unknown])[] = [
    ["contentId", "a".repeat(63)],
    ["sizeBytes", -1],
    ["sizeBytes", 1.5],
    ["sizeBytes", Number.MAX_SAFE_INTEGER + 1],
    ["verdicts.0.method", "auth"],
    ["verdicts.0", { method: "auth", result: "pass", login: "anna@example.org" }],
    ["verdicts.0", internal],
    ["verdicts.0", { method: "spam", result: "low", level: 0, reasons: [] }],
    ["verdicts.0.method", "toString"],
    ["verdicts.0.method", ["spf"]],
    ["verdicts.0.method", undefined],
    ["verdicts.0", null],
    ["verdicts.0.domain", "a".repeat(4000)],
    ["verdicts.0.result", "perhaps"],
    ["verdicts.1.status", "fine"],
    ["verdicts.2.selector", 7],
    ["verdicts.3.sealers", ["a", 1]],
    ["verdicts.3.saw.dmarc", null],
    ["verdicts.4.dkimAligned", "a.example"],
    ["verdicts.4.policy", "shred"],
    ["verdicts", { 0: {}, length: 1 }],
    ["decision.disposition", "keep"],
    ["decision.opinions.0.because", 7],
    ["source.kind", "friend"],
    ["source.address", "example.org"],
    ["source", undefined],
  ];
  for (const [path, to] of offences) {
    test(`refuses ${path} = ${JSON.stringify(to)?.slice(0, 40)}`, () => {
      assert.equal(readDepositEnd(changed(depositEnd, path, to)).ok, false);
    });
  }
});

describe("the other readers", () => {
  test("take what an edge sends and nothing else", () => {
    assert.ok(readAsked({ id }).ok);
    assert.equal(readAsked([id]).ok, false);
    assert.ok(readRefusals({ refusals: [refusal] }).ok);
    const bad = changed(refusal, "reply.text", [1]);
    assert.equal(readRefusals({ refusals: [refusal, bad] }).ok, false);
    for (const [at, to] of [
      ["atMs", -1],
      ["atMs", 253_402_300_800_000],
      ["reversePath", "a@b\r\n"],
      ["recipients.0", "a@b\u0000"],
      ["connection.clientPort", 65_536],
    ] as const) {
      assert.equal(readRefusals({ refusals: [changed(refusal, at, to)] }).ok, false, at);
    }
    const sample = { name: "edge_kept_total", labels: { listener: "smtp" }, value: 2 };
    assert.ok(readSamples({ samples: [sample] }).ok);
    assert.equal(readSamples({ samples: [{ ...sample, labels: { "a b": "c" } }] }).ok, false);
    assert.equal(readSamples({ samples: [{ ...sample, value: null }] }).ok, false);
    for (const value of [undefined, null, "x", 3, [], {}])
      assert.equal(readSamples(value).ok, false);
  });
});

test("no reader throws, whatever JSON comes (seeded)", () => {
  const random = seededRandom(7);
  const odd = [null, 0, -1, "", "x", [], {}, true, [[]], { length: 3 }, "__proto__"];
  const whole = [deposit, depositEnd, { refusals: [{ ...refusal, judged: depositEnd }] }] as const;
  const readers = [readDeposit, readDepositEnd, readRefusals] as const;
  for (const [nth, read] of readers.entries()) {
    const text = JSON.stringify(whole[nth]);
    const places = [...text.matchAll(/:(?=["{[\dtf])/g)].map(({ index }) => index + 1);
    const keys = [...text.matchAll(/"(\w+)":/g)].map((found) => found[1] ?? "");
    let [taken, refused] = [0, 0];
    for (let round = 0; round < 3000; round += 1) {
      const key = keys[pick(random, keys.length)];
      const value = JSON.stringify(odd[pick(random, odd.length)]);
      const at = places[pick(random, places.length)] ?? 0;
      // A key more at the end of the whole, and one in front of a value anywhere inside.
      for (const damaged of [
        `${text.slice(0, -1)},"${key}":${value}}`,
        `${text.slice(0, at)}{"${key}":${value},"x":${text.slice(at)}`,
        text.slice(0, at) + value + text.slice(at).replace(/^(?:"[^"]*"|\d+|true|false)/, ""),
      ]) {
        let parsed: unknown;
        try {
          parsed = JSON.parse(damaged);
        } catch {
          continue;
        }
        if (read(parsed).ok) taken += 1;
        else refused += 1;
      }
    }
    assert.ok(taken > 0 && refused > 3000, `${taken} taken, ${refused} refused`);
  }
});
