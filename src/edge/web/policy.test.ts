import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { describe, test } from "node:test";
import { linkPair } from "#contracts/link";
import { takePolicy } from "#edge/signed-policy";
import { posternRules } from "#proxy";
import { maxWebPolicyBytes, type WebPolicyHolder, webPolicyHolder } from "./policy.ts";

const keys = generateKeyPairSync("ed25519");
const publicPem = keys.publicKey.export({ type: "spki", format: "pem" }).toString();
const base = { hosts: ["mail.example"], rules: posternRules([]), login: { passkeys: true } };
const text = (version: number, change: object = {}): string =>
  JSON.stringify({ ...base, version, ...change });

function signed(snapshot: string, key: KeyObject = keys.privateKey): Buffer {
  const signature = sign(null, Buffer.from(snapshot), key).toString("base64");
  return Buffer.from(JSON.stringify({ snapshot, signature }));
}

const holder = (): WebPolicyHolder => webPolicyHolder(publicPem, ["mail.example"], () => 443);

describe("webPolicyHolder() goes by what the inside signed", () => {
  const rule = {
    application: "x",
    hosts: [],
    path: "/a",
    methods: [],
    login: "none",
    targets: "mail",
  };
  const withRule = (change: object): Buffer => signed(text(6, { rules: [{ ...rule, ...change }] }));
  const refused: readonly (readonly [string, Buffer, string])[] = [
    ["an older one", signed(text(4)), "older"],
    ["a stranger's", signed(text(6), generateKeyPairSync("ed25519").privateKey), "bad-signature"],
    [
      "a changed one",
      Buffer.from(signed(text(6)).toString().replace("/jmap", "/jmab")),
      "bad-signature",
    ],
    ["an unsigned one", Buffer.from(JSON.stringify({ snapshot: text(6) })), "not-json"],
    ["null", Buffer.from("null"), "not-json"],
    ["octets", Buffer.from([0xff, 0xfe]), "not-json"],
    ["a large one", Buffer.alloc(maxWebPolicyBytes + 1, "x"), "too-large"],
    ["a list", signed("[]"), "bad-shape"],
    ["version 0", signed(text(0)), "bad-shape"],
    ["hosts that are no list", signed(text(6, { hosts: "mail.example" })), "bad-shape"],
    ["a path that climbs", withRule({ path: "/a/../b" }), "bad-shape"],
    ["a path with an escape", withRule({ path: "/a%41" }), "bad-shape"],
    ["a key that is not known", withRule({ anonymous: true }), "bad-shape"],
    ["another login way", withRule({ login: "maybe" }), "bad-shape"],
    ["other target rules", withRule({ targets: "" }), "bad-shape"],
    ["a flag that is none", withRule({ exact: 1 }), "bad-shape"],
    ["a negative size", withRule({ bodyMaxBytes: -1 }), "bad-shape"],
    ["a rule that is none", signed(text(6, { rules: [null] })), "bad-shape"],
    ["no offer", signed(text(6, { login: {} })), "bad-shape"],
  ];
  for (const [name, octets, fault] of refused) {
    test(`refuses ${name}, and keeps the last good one`, () => {
      const policy = holder();
      assert.deepEqual(policy.take(signed(text(5))), { ok: true, value: 5 });
      const taken = policy.take(octets);
      assert.equal(taken.ok ? "taken" : taken.fault, fault);
      assert.equal(policy.current.version, 5);
    });
  }

  test("takes a newer one whole", () => {
    const policy = holder();
    assert.equal(policy.current.version, 0);
    assert.equal(policy.offer().passkeys, false);
    policy.take(signed(text(5)));
    const next = { hosts: ["other.example"], login: { passkeys: false, oidcLabel: "House" } };
    assert.equal(policy.take(signed(text(6, next))).ok, true);
    assert.equal(policy.current.rulesOf("mail.example"), undefined);
    assert.equal(policy.current.rulesOf("other.example")?.length, base.rules.length);
    assert.equal(policy.offer().oidcLabel, "House");
  });

  test("answers a stream of kind policy with the version that holds", async () => {
    const [hub, edge] = linkPair();
    const policy = holder();
    const outcomes: string[] = [];
    edge.onStream((stream) =>
      takePolicy(stream, {
        maxBytes: maxWebPolicyBytes,
        take: (octets) => policy.take(octets),
        held: () => policy.current.version,
        onTaken: (outcome) => void outcomes.push(outcome),
      }),
    );
    const push = (octets: Buffer): Promise<unknown> =>
      hub.open("policy", {}, { data: octets, end: {} }).answered;
    assert.deepEqual(await push(signed(text(5))), { version: 5 });
    assert.deepEqual(await push(signed(text(4))), { version: 5, refused: "older" });
    assert.deepEqual(outcomes, ["taken", "older"]);
    hub.close("over");
    edge.close("over");
  });
});
