import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { type FakeDns, startFakeDns } from "../kit/fake-dns.ts";
import { type Honest, honestMail } from "../kit/honest-mail.ts";
import { type Installation, startInstallation } from "../kit/installation.ts";
import { emailsByJmap, headersByImap, type Login, type SeenEmail } from "../kit/mail-readers.ts";
import { message, sendAs, strangersZone } from "../kit/strangers.ts";

let dns: FakeDns;
let installation: Installation;
let ana: Login;
let ben: Login;
const replies = new Map<string, string>();
let emails: ReadonlyMap<string, SeenEmail>;
let toBen: ReadonlyMap<string, SeenEmail>;
let headers: ReadonlyMap<string, string>;

before(async () => {
  dns = await startFakeDns(strangersZone());
  installation = await startInstallation({
    config: `
[dns]
servers = ["127.0.0.1:${dns.endpoint.port}"]
[balancer]
mail = ["127.0.0.0/8"]
[spam]
partners = ["bank.example"]
[identity]
ownRelays = ["203.0.113.0/29"]
trustedSealers = ["sealer.example"]
`,
  });
  const ready = installation.ready();
  [ana, ben] = ready.accounts as readonly [Login, Login];
  const usual = { helo: "attack.example", mailFrom: "<any@attack.example>", to: [ana.address] };
  for (const one of Object.values(honestMail).flat()) {
    replies.set(one.id, await sendAs(ready.smtp, { ...usual, ...one }));
  }
  await submit();
  await decoy();
  emails = await emailsByJmap(ready, ana);
  toBen = await emailsByJmap(ready, ben);
  const junk = await headersByImap(ready, ana, "Junk");
  headers = new Map([...junk, ...(await headersByImap(ready, ana, "INBOX"))]);
});

after(async () => {
  await installation[Symbol.asyncDispose]();
  await dns[Symbol.asyncDispose]();
});

/** Ana writes to Ben, with her login. */
async function submit(): Promise<void> {
  const { submission, ca } = installation.ready();
  const file = join(installation.data, "mail.eml");
  writeFileSync(file, message("inside", `From: <${ana.address}>`));
  await promisify(execFile)("curl", [
    ...["-sS", "--max-time", "20", "--cacert", ca, "-u", `${ana.address}:${ana.password}`],
    ...["--url", `smtps://localhost:${submission.port}`, "--mail-from", ana.address],
    ...["--mail-rcpt", ben.address, "-T", file],
  ]);
}

/** To Ben, in the name of somebody who never wrote to him; then in earnest. */
async function decoy(): Promise<void> {
  const { smtp } = installation.ready();
  const usual = { helo: "attack.example", mailFrom: "<any@attack.example>", to: [ben.address] };
  for (const id of ["decoy", "earnest"]) {
    const octets = message(id, "From: <boss@shop.example>");
    assert.match(await sendAs(smtp, { ...usual, octets }), /^250 /);
  }
}

function outcomeOf({ id }: Honest): string {
  const email = emails.get(id);
  if (email === undefined) return replies.get(id) ?? "no reply";
  const { senderState, inJunk, senderOrigin, senderEvidence } = email;
  const evidence = senderEvidence.map(({ type }) => type).filter((one) => one !== "first-contact");
  return [senderState, inJunk ? "junk" : "inbox", senderOrigin, ...evidence].join(" ");
}

for (const [name, group] of Object.entries(honestMail)) {
  describe(name, () => {
    for (const one of group) {
      test(`${name} ${one.what}: ${one.outcome}`, () => {
        assert.match(replies.get(one.id) ?? "no reply", /^250 /, "refused by default");
        assert.equal(outcomeOf(one), one.outcome);
      });
    }
  });
}

test("CAP-46 a reader sees that the sender was logged in, and as whom", () => {
  const { senderState, senderOrigin, senderChecks } = toBen.get("inside") ?? {};
  assert.deepEqual([senderState, senderOrigin], ["internal", "inside"]);
  const login = senderChecks?.find(({ method }) => method === "auth");
  assert.equal(login?.text, `auth=pass smtp.auth=${ana.address}`);
});

test("CAP-61 level and reasons are the same in the header and in JMAP, and add up", () => {
  const levels = new Set<number>();
  for (const { id } of Object.values(honestMail).flat()) {
    const { spamLevel, spamReasons = [], inJunk } = emails.get(id) ?? {};
    const field = /^\tx-spam-level=(\d)( \((?:[^()\\]|\\.)*\))?\r$/m.exec(headers.get(id) ?? "");
    assert.equal(field?.[1], String(spamLevel), id);
    const sum = spamReasons.reduce((total, { points }) => total + points, 4);
    assert.equal(Math.max(0, Math.min(9, sum)), spamLevel, id);
    for (const { points } of spamReasons) {
      assert.ok(field?.[2]?.includes(points > 0 ? `+${points} ` : `${points} `), id);
    }
    if (Number(spamLevel) >= 7) assert.equal(inJunk, true, id);
    levels.add(Number(spamLevel));
  }
  assert.ok(levels.size >= 4, [...levels].join());
});

test("CAP-62 a pass alone leaves the level at neutral", () => {
  assert.equal(emails.get("CAP-55.01")?.spamLevel, 4);
});

test("CAP-65 first contact is told once, and a letter that nobody vouches for does not count", () => {
  const isFirst = (email: SeenEmail | undefined): boolean =>
    email?.senderEvidence.some(({ type }) => type === "first-contact") === true;
  assert.ok(isFirst(emails.get("CAP-55.01")));
  assert.ok(!isFirst(emails.get("CAP-55.02")));
  assert.equal(toBen.get("decoy")?.senderState, "not-verified");
  assert.ok(isFirst(toBen.get("decoy")));
  assert.ok(isFirst(toBen.get("earnest")), "the decoy took the warning away");
});

test("CAP-104 every piece of evidence has a type, a claim, a sentence, and a class of origin", () => {
  for (const { senderEvidence, senderOrigin } of emails.values()) {
    assert.match(senderOrigin, /^(?:inside|outside|partner|forwarded|unknown)$/);
    for (const { type, claimed, text } of senderEvidence) {
      assert.match(type, /^[a-z-]+$/);
      assert.ok(claimed.length > 0 && /^\S.*\.$/.test(text), `${type}: ${text}`);
    }
  }
});
