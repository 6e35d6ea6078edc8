/** Inbound connectors at the edge: their shape in the snapshot, and logins that the inside judges. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom, systemRandom } from "#base/random";
import type { LoginStep } from "#contracts/inbound-login";
import { type Link, linkPair } from "#contracts/link";
import { fakeClock } from "../../../tests/kit/fake-clock.ts";
import { edgeConnectors } from "./connectors.ts";
import { readInbound } from "./connectors-shape.ts";

const acme = {
  ...{ name: "acme", door: "edge", networks: ["192.0.2.0/24"], certificates: ["ab".repeat(32)] },
  ...{ user: "acme", senderDomains: ["acme.example"], requireTls: true, minVersion: "TLSv1.3" },
  ...{ groups: ["X25519MLKEM768", "P-256"], trusted: true, mayRelay: false },
};

describe("readInbound()", () => {
  test("takes what the inside pushes, and an empty list", () => {
    assert.deepEqual(readInbound([]), []);
    assert.deepEqual(readInbound([acme, { ...acme, name: "b", user: undefined }])?.length, 2);
    const { groups: _, user: __, ...least } = acme;
    assert.deepEqual(readInbound([least]), [least]);
  });

  const odd: Readonly<Record<string, unknown>> = {
    "no list": acme,
    "not even an object": [null],
    "another door": [{ ...acme, door: "relay" }],
    "relaying for strangers": [{ ...acme, mayRelay: true }],
    "no name": [{ ...acme, name: "" }],
    "a network that is none": [{ ...acme, networks: ["192.0.2.0/33"] }],
    "a fingerprint that is none": [{ ...acme, certificates: ["AB".repeat(32)] }],
    "a user with a NUL": [{ ...acme, user: "a\0b" }],
    "an empty user": [{ ...acme, user: "" }],
    "a domain in capitals": [{ ...acme, senderDomains: ["Acme.Example"] }],
    "TLS that is neither": [{ ...acme, requireTls: "yes" }],
    "no word on trust": [{ ...acme, trusted: undefined }],
    "a version of old": [{ ...acme, minVersion: "TLSv1" }],
    "a group that OpenSSL does not know": [{ ...acme, groups: ["P-257"] }],
    "two groups in one": [{ ...acme, groups: ["P-256:P-384"] }],
    "one of several": [acme, { ...acme, networks: undefined }],
    "too many": Array.from({ length: 1001 }, () => acme),
  };
  for (const [what, value] of Object.entries(odd)) {
    test(`refuses the whole list for ${what}`, () => assert.equal(readInbound(value), undefined));
  }
});

test("readInbound() takes or refuses any JSON, and never throws (seeded)", () => {
  const random = seededRandom(0xc0de);
  const odd = [null, 0, "", [], {}, ["x"], true, "P-256", -1, { length: 1 }] as const;
  let taken = 0;
  for (let round = 0; round < 5000; round += 1) {
    const one: Record<string, unknown> = { ...acme };
    const keys = Object.keys(one);
    for (let change = pick(random, 3); change > 0; change -= 1) {
      one[keys[pick(random, keys.length)] ?? ""] = odd[pick(random, odd.length)];
    }
    if (readInbound([one]) !== undefined) taken += 1;
    readInbound(odd[pick(random, odd.length)]);
  }
  assert.ok(taken > 1000 && taken < 4000, String(taken));
});

describe("CAP-44 a login over the link", () => {
  const connection = {
    ...{ listener: "smtp", clientAddress: "192.0.2.7", clientPort: 1, helo: "c", extended: true },
  };

  function stage(answerTo: (step: LoginStep) => unknown) {
    const [edge, hub] = linkPair();
    const steps: LoginStep[] = [];
    hub.onStream((stream) => {
      steps.push(stream.header as LoginStep);
      const answer = answerTo(stream.header as LoginStep);
      if (answer !== undefined) stream.answer(answer);
    });
    let link: Link | undefined = edge;
    const clock = fakeClock();
    const connectors = edgeConnectors({
      ...{ policy: { current: undefined }, links: { forKind: () => link } },
      ...{ clock, random: systemRandom },
    });
    const cut = (): void => {
      link = undefined;
      edge.close("cut");
    };
    return { connectors, steps, cut, clock };
  }

  test("its steps share an id, and carry the binding", async () => {
    const answers = [{ challenge: "bW9yZQ==" }, { user: "acme" }];
    const { connectors, steps, cut } = stage(() => answers.shift());
    const binding = { type: "tls-exporter", data: Buffer.from("bound") } as const;
    const dialogue = connectors.begin("SCRAM-SHA-256-PLUS", connection, binding);
    assert.deepEqual(await dialogue.next(Buffer.from("one")), { challenge: Buffer.from("more") });
    assert.deepEqual(await dialogue.next(Buffer.alloc(0)), { ok: true, address: "acme" });
    const [first, second] = steps;
    assert.match(first?.dialogue ?? "", /^[0-9a-f]{32}$/);
    assert.deepEqual(first, {
      ...{ dialogue: first?.dialogue, mechanism: "SCRAM-SHA-256-PLUS", from: "192.0.2.7" },
      ...{ response: "b25l", exporter: "Ym91bmQ=" },
    });
    assert.deepEqual(second, { ...first, response: "" });
    const other = connectors.begin("PLAIN", connection, undefined);
    answers.push({ user: "acme" });
    await other.next(Buffer.from("x"));
    assert.notEqual(steps[2]?.dialogue, first?.dialogue);
    cut();
  });

  const later = { ok: false, reason: "busy" };
  const answers: readonly (readonly [string, unknown, unknown])[] = [
    ["refused", { refused: "refused" }, { ok: false, reason: "refused" }],
    ["slow-down", { refused: "slow-down" }, { ok: false, reason: "slow-down" }],
    ["a response that is none", { refused: "bad-response" }, "bad-response"],
    ["busy", { refused: "busy" }, later],
    ["nothing", null, later],
    ["a list", [], later],
    ["an empty name", { user: "" }, later],
    ["a user that is no text", { user: { ok: true } }, later],
    ["a word that is not known", { refused: "welcome" }, later],
  ];
  for (const [what, answer, step] of answers) {
    test(`the inside answers ${what}`, async () => {
      const { connectors, cut } = stage(() => answer);
      assert.deepEqual(
        await connectors.begin("PLAIN", connection, undefined).next(Buffer.from("x")),
        step,
      );
      cut();
    });
  }

  test("link down before, between, and no answer in time: not now (454)", async () => {
    const { connectors, cut, clock } = stage(() => undefined);
    const dialogue = connectors.begin("PLAIN", connection, undefined);
    const slow = dialogue.next(Buffer.from("x"));
    await clock.advance(10_000);
    assert.deepEqual(await slow, later);
    const broken = dialogue.next(Buffer.from("x"));
    cut();
    assert.deepEqual(await broken, later);
    assert.deepEqual(await dialogue.next(Buffer.from("x")), later);
  });
});
