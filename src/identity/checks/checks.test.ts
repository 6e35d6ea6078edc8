import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { pick, seededRandom } from "#base/random";
import type { Verdict } from "#model/verdict";
import { zoneResolver } from "../../../tests/kit/fake-dns.ts";
import { type Findings, identityRules, MessageChecks } from "./index.ts";

const rules = identityRules({
  ownRelays: ["198.51.100.0/24"],
  trustedSealers: [],
  praMode: "rfc4407",
});
const ports = {
  clock: systemClock,
  resolver: zoneResolver({
    "a.example": [{ TXT: "v=spf1 ip4:192.0.2.1 -all" }],
    "_dmarc.a.example": [{ TXT: "v=DMARC1; p=reject" }],
  }),
};
const delivered = {
  ip: "192.0.2.1",
  helo: "mx.a.example",
  mailFrom: "ann@a.example",
  receiver: "mx.example.org",
};
const mail = "From: Ann <ann@a.example>\r\nSubject: x\r\n\r\nwords\r\n";

async function check(text: string, given: object = delivered, cut = 64_000): Promise<Findings> {
  const checks = new MessageChecks({ ...delivered, ...given }, rules, ports);
  const octets = Buffer.from(text, "latin1");
  for (let at = 0; at < octets.length; at += cut) checks.write(octets.subarray(at, at + cut));
  return await checks.finish();
}

const words = ({ verdicts }: Findings): string[] =>
  verdicts.map(({ method, result }: Verdict) => `${method} ${result}`);

describe("MessageChecks", () => {
  test("finds out everything in the order of DESIGN §3", async () => {
    const expected = ["spf pass", "sender-id pass", "dkim none", "arc none", "dmarc pass"];
    assert.deepEqual(words(await check(mail)), expected);
  });

  test("says the same however the octets are cut", async () => {
    const random = seededRandom(4);
    const whole = await check(mail);
    for (let round = 0; round < 20; round += 1) {
      assert.deepEqual((await check(mail, {}, 1 + pick(random, 20))).verdicts, whole.verdicts);
    }
  });

  test("CAP-56 judges the host before a relay of ours, and nothing passes by the relay's address", async () => {
    const hop = "Received: from mx.a.example ([192.0.2.1]) by relay.example.org; x\r\n";
    const relayed = await check(hop + mail, { ip: "198.51.100.7", helo: "relay" });
    assert.deepEqual([relayed.source.kind, words(relayed)[0]], ["relayed", "spf pass"]);
    const mute = await check(mail, { ip: "198.51.100.7", helo: "relay" });
    assert.deepEqual([mute.source.kind, words(mute)[0]], ["unknown", "spf none"]);
    assert.equal(words(mute).includes("dmarc pass"), false);
  });

  test("passes nobody when no address of the client is known", async () => {
    const { ip: _, ...rest } = delivered;
    const checks = new MessageChecks(rest, rules, ports);
    checks.write(Buffer.from(mail));
    assert.equal(
      words(await checks.finish()).some((one) => one.endsWith(" pass")),
      false,
    );
  });

  test("trusts no absence in a header that goes on beyond what is looked at", async () => {
    const long = `${mail.slice(0, mail.indexOf("\r\n\r\n"))}\r\n${"X: y\r\n".repeat(50_000)}\r\nb\r\n`;
    const found = await check(long);
    assert.equal(found.author.kind, "unreadable");
    assert.equal(words(found).includes("dmarc pass"), false);
  });

  test("takes a message without a body, and an empty one", async () => {
    assert.equal(words(await check("From: ann@a.example")).at(-1), "dmarc pass");
    assert.equal(words(await check("")).at(-1), "dmarc permerror");
  });
});
