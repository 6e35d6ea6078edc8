import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync, spawnSync } from "node:child_process";
import { hash } from "node:crypto";
import { describe, test } from "node:test";
import { authenticate } from "mailauth";
import { systemClock } from "#base/clock";
import { Unavailable } from "#base/errors";
import { pick, seededRandom } from "#base/random";
import type { ContentWriter } from "#contracts/store";
import { MessageChecks } from "#identity/checks";
import type { ArcVerdict, Verdict } from "#model/verdict";
import { type Zone, zoneResolver } from "../../tests/kit/fake-dns.ts";
import { ed25519Key, rsaKey, signOctets, zoneOf } from "../identity/dkim/fixture.test.ts";
import { type SealPorts, sealingWriter } from "./arc-seal.ts";

const [rsa, ed25519] = [rsaKey("2026a"), ed25519Key("2026e")];
const zone: Zone = {
  ...zoneOf([rsa, ed25519], "example.org"),
  ...zoneOf([rsa, ed25519], "first.example"),
  "sender.example": [{ TXT: "v=spf1 ip4:192.0.2.1 -all" }],
  "_dmarc.sender.example": [{ TXT: "v=DMARC1; p=reject" }],
};

function portsOf(domain: string, keys = [ed25519, rsa]): SealPorts {
  return {
    domain,
    authservId: `mx.${domain}`,
    clock: systemClock,
    keyring: {
      dkimKeys: async () =>
        keys.map(({ selector, algorithm }) => ({ domain, selector, algorithm, publicKey: "" })),
      async dkimSign(_domain, selector, octets) {
        const key = keys.find((one) => one.selector === selector) ?? assert.fail();
        return signOctets(key, Buffer.from(octets));
      },
    },
  };
}

/** What an edge finds out. */
async function checked(octets: Buffer): Promise<readonly Verdict[]> {
  const delivered = {
    ...{ ip: "192.0.2.1", helo: "mx.sender.example", mailFrom: "ann@sender.example" },
    receiver: "mx.example.org",
  };
  const rules = { ownRelays: [], trustedSealers: [], praMode: "rfc4407" } as const;
  const ports = { resolver: zoneResolver(zone), clock: systemClock };
  const checks = new MessageChecks(delivered, rules, ports);
  checks.write(octets);
  return (await checks.finish()).verdicts;
}

const ours: Verdict = {
  ...{ method: "sender", result: "verified", origin: "outside", address: "ann@sender.example" },
  ...{ text: "secret of ours", evidence: [] },
} as Verdict;

/** The message as it is forwarded, written in pieces. */
async function forward(
  octets: Buffer,
  ports: SealPorts = portsOf("example.org"),
  pieceBytes = 1000,
): Promise<Buffer> {
  const kept: Uint8Array[] = [];
  const inner: ContentWriter = {
    write: (chunk) => void kept.push(chunk),
    finish: async () => ({ id: hash("sha256", Buffer.concat(kept)), sizeBytes: octets.length }),
    abort() {},
  };
  const verdicts = [...(await checked(octets)), ours];
  const writer = sealingWriter(inner, ports);
  for (let at = 0; at < octets.length; at += pieceBytes) {
    await writer.write(octets.subarray(at, at + pieceBytes));
  }
  await writer.finish();
  assert.ok(Buffer.concat(kept).equals(octets));
  const fields = await writer.seal(verdicts);
  const received = "Received: from a.example ([192.0.2.1])\r\n\tby mx.example.org with ESMTP\r\n";
  return Buffer.concat([Buffer.from(`Return-Path: <a@b.example>\r\n${received}${fields}`), octets]);
}

async function ourVerdict(octets: Buffer): Promise<ArcVerdict> {
  const found = (await checked(octets)).find(({ method }) => method === "arc");
  return found as ArcVerdict;
}

async function mailauthSays(octets: Buffer): Promise<unknown> {
  const resolver = async (name: string): Promise<string[][]> => {
    const [entry] = zone[name] ?? [];
    return [[typeof entry === "object" ? String(entry["TXT"]) : ""]];
  };
  const options = { ip: "192.0.2.1", helo: "a.example", sender: "a@example.org", resolver };
  const { arc } = await authenticate(octets, options as never);
  return (arc as { status?: { result?: string } }).status?.result;
}

const script = `
import dkim, json, sys
zone = json.loads(sys.argv[1])
find = lambda name, timeout=5: zone[name.decode().rstrip(".")].encode()
print(dkim.ARC(sys.stdin.buffer.read()).verify(dnsfunc=find)[0].decode())
`;
const python = "/usr/bin/python3"; // Debian's, where python3-dkim installs
const hasDkimpy = spawnSync(python, ["-c", "import dkim"]).status === 0;
const skip = hasDkimpy ? false : "python3-dkim is not installed";

function dkimpySays(octets: Buffer): string {
  const texts = Object.entries(zone).flatMap(([name, [entry]]) =>
    typeof entry === "object" ? [[name, entry["TXT"]]] : [],
  );
  const args = ["-c", script, JSON.stringify(Object.fromEntries(texts))];
  return execFileSync(python, args, { input: octets, encoding: "utf8" }).trim();
}

const head = "From: Ann <ann@sender.example>\r\nTo: list@example.org\r\nSubject: Lunch\r\n";
const bodies: readonly (readonly [string, string])[] = [
  ["a short body", "At noon?\r\n"],
  ["no body", ""],
  ["empty lines at the end", "At  noon? \r\n\r\n\r\n"],
  ["no line break at the end", "At noon?"],
  ["a large body", "At \t noon?  \r\n".repeat(60_000)],
];

describe("sealingWriter()", () => {
  for (const [what, body] of bodies) {
    test(`seals a message with ${what}, as we and mailauth see it`, async () => {
      const octets = Buffer.from(`${head}\r\n${body}`);
      const sealed = await forward(octets);
      const verdict = await ourVerdict(sealed);
      assert.equal(verdict.result, "pass", verdict.why);
      assert.deepEqual(verdict.sealers, ["example.org"]);
      assert.equal(await mailauthSays(sealed), "pass");
      if (body.length < 6) return;
      const altered = Buffer.from(sealed.toString("latin1").replace("noon", "nine"), "latin1");
      assert.equal((await ourVerdict(altered)).result, "fail");
    });

    test(`seals a message with ${what}, as dkimpy sees it`, { skip }, async () => {
      const sealed = await forward(Buffer.from(`${head}\r\n${body}`));
      assert.equal(dkimpySays(sealed), "pass");
      const altered = sealed.toString("latin1").replace("Subject: Lunch", "Subject: Launch");
      assert.equal(dkimpySays(Buffer.from(altered, "latin1")), "fail");
    });
  }

  test("goes on with a chain that others began", async (t) => {
    const once = await forward(Buffer.from(`${head}\r\nAt noon?\r\n`), portsOf("first.example"));
    const twice = await forward(once);
    const verdict = await ourVerdict(twice);
    assert.equal(verdict.result, "pass", verdict.why);
    assert.deepEqual(verdict.sealers, ["example.org", "first.example"]);
    assert.equal(await mailauthSays(twice), "pass");
    if (hasDkimpy) assert.equal(dkimpySays(twice), "pass");
    else t.diagnostic(String(skip));
  });

  test("marks a chain that is broken, and leaves one alone that has ended", async () => {
    const once = await forward(Buffer.from(`${head}\r\nAt noon?\r\n`), portsOf("first.example"));
    const broken = Buffer.from(once.toString().replace("noon", "nine"));
    const marked = await forward(broken);
    assert.match(marked.toString(), /ARC-Seal: i=2; cv=fail/);
    assert.equal(await mailauthSays(marked), "fail");
    assert.ok(!(await forward(marked)).toString().includes("i=3"));
  });

  test("tells what was found out, and nothing that is meant for our readers", async () => {
    const sealed = (await forward(Buffer.from(`${head}\r\nAt noon?\r\n`))).toString();
    const from = sealed.indexOf("ARC-Authentication-Results: ");
    const results = sealed.slice(from, sealed.indexOf("From: Ann"));
    assert.match(results, /: i=1; mx.example.org;\r\n\tspf=pass/);
    assert.match(results, /dmarc=pass .*header.from=sender.example/);
    assert.ok(!results.includes("secret") && !results.includes("sender-id"));
  });

  test("adds nothing without an RSA key, without a verdict, or to an endless header", async () => {
    const octets = Buffer.from(`${head}\r\nAt noon?\r\n`);
    for (const keys of [[], [ed25519]]) {
      const out = await forward(octets, portsOf("example.org", keys));
      assert.ok(!out.toString().includes("ARC-"));
    }
    const long = Buffer.from(`${head}${"X-Long: text\r\n".repeat(30_000)}\r\nAt noon?\r\n`);
    assert.ok(!(await forward(long, portsOf("example.org"), 50_000)).toString().includes("ARC-"));
    const inner: ContentWriter = {
      write() {},
      finish: async () => ({ id: "", sizeBytes: 0 }),
      abort() {},
    };
    const writer = sealingWriter(inner, portsOf("example.org"));
    await writer.finish();
    assert.equal(await writer.seal([]), "");
  });

  test("hashes the same whatever the pieces (seeded)", async () => {
    const random = seededRandom(8617);
    const alphabet = [" ", "\t", "\r\n", "a", "b", "=20"];
    for (let round = 0; round < 40; round += 1) {
      const body = Array.from({ length: 300 }, () => alphabet[pick(random, 6)]).join("");
      const octets = Buffer.from(`${head}\r\n${body}`);
      const sealed = await forward(octets, portsOf("example.org"), 1 + pick(random, 50));
      const verdict = await ourVerdict(sealed);
      assert.equal(verdict.result, "pass", verdict.why);
    }
  });

  test("says that the keyring is away", async () => {
    const ports = portsOf("example.org");
    const away = { dkimKeys: () => Promise.reject(new Unavailable()), dkimSign: assert.fail };
    const octets = Buffer.from(`${head}\r\nAt noon?\r\n`);
    await assert.rejects(forward(octets, { ...ports, keyring: away }), Unavailable);
  });
});
