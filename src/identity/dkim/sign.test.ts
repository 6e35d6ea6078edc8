import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { generateKeyPairSync, hash, type KeyObject, sign, verify } from "node:crypto";
import { describe, test } from "node:test";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import type { SigningKey } from "#contracts/keyring";
import { headerEnd, parseHeader } from "#formats/message";
import { parseTagList } from "#formats/tag-list";
import { type DkimAlgorithm, dkimSignature, dnsRecord, hashBody } from "#identity/dkim";
import { relaxedField } from "./header.ts";

interface Pair {
  readonly key: SigningKey;
  readonly privateKey: KeyObject;
}

function makePair(algorithm: DkimAlgorithm, selector: string): Pair {
  const { publicKey, privateKey } =
    algorithm === "rsa-sha256"
      ? generateKeyPairSync("rsa", { modulusLength: 2048 })
      : generateKeyPairSync("ed25519");
  const info = publicKey.export({ type: "spki", format: "der" }).toString("base64");
  return { key: { domain: "example.org", selector, algorithm, publicKey: info }, privateKey };
}

const pairs = [makePair("rsa-sha256", "2026a"), makePair("ed25519-sha256", "2026e")];

/** What the keyring does (#contracts/keyring). */
const signWith = (pair: Pair) => async (octets: Buffer) =>
  pair.key.algorithm === "rsa-sha256"
    ? sign("sha256", octets, pair.privateKey)
    : sign(null, hash("sha256", octets, "buffer"), pair.privateKey);

const message = Buffer.from(
  [
    "From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>",
    "To: one@example.net,",
    "\t two@example.net",
    "To: three@example.net",
    "subject:  A   folded\t ",
    " subject  with spaces  ",
    "Date: Fri, 20 Nov 2026 10:00:00 +0000",
    "Message-ID: <1@example.org>",
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    "",
    "Hello  there, \t",
    "größe",
    "",
    "  indented",
    "",
    "",
  ].join("\r\n"),
);

const nowMs = Date.now();

const signature = (pair: Pair, octets: Buffer): Promise<string> =>
  dkimSignature({
    header: parseHeader(octets),
    bodyHash: hashBody([octets], headerEnd(octets)),
    domain: pair.key.domain,
    selector: pair.key.selector,
    algorithm: pair.key.algorithm,
    signedAtMs: nowMs,
    expiresAtMs: nowMs + 86_400_000,
    sign: signWith(pair),
  });

async function signed(pair: Pair, octets: Buffer = message): Promise<Buffer> {
  return Buffer.concat([Buffer.from(await signature(pair, octets)), octets]);
}

/** Name to text of both keys. */
const zone = new Map(pairs.map(({ key }) => [dnsRecord(key).name, dnsRecord(key).text]));

async function byMailauth(octets: Buffer): Promise<readonly string[]> {
  const resolver = async (name: string): Promise<string[][]> => [[zone.get(name) ?? ""]];
  const { results } = await dkimVerify(octets, { resolver });
  return results.map(({ status }: { status: { result: string } }) => status.result);
}

const dkimpy = `
import sys, json, dkim
zone = json.loads(sys.argv[1])
octets = sys.stdin.buffer.read()
find = lambda name, timeout=5: zone.get(name.decode().rstrip("."), "").encode()
print(dkim.DKIM(octets, minkey=1024).verify(dnsfunc=find))
`;
const python = "/usr/bin/python3"; // Debian's, where python3-dkim installs
const hasDkimpy = spawnSync(python, ["-c", "import dkim, nacl"]).status === 0;

function byDkimpy(octets: Buffer): string {
  const args = ["-c", dkimpy, JSON.stringify(Object.fromEntries(zone))];
  return execFileSync(python, args, { input: octets, encoding: "utf8" }).trim();
}

for (const pair of pairs) {
  describe(`dkimSignature() with ${pair.key.algorithm}`, () => {
    test("is verified by mailauth, and not after a change", async () => {
      const octets = await signed(pair);
      assert.deepEqual(await byMailauth(octets), ["pass"]);
      const altered = Buffer.from(octets.toString("latin1").replace("there", "here"), "latin1");
      assert.deepEqual(await byMailauth(altered), ["neutral"]); // its word for another body hash
      const added = Buffer.concat([Buffer.from("Subject: another\r\n"), octets]);
      assert.deepEqual(await byMailauth(added), ["fail"]);
    });

    const skip = hasDkimpy ? false : "python3-dkim and python3-nacl are not installed";
    test("is verified by dkimpy, and not after a change", { skip }, async () => {
      const octets = await signed(pair);
      assert.equal(byDkimpy(octets), "True");
      const added = Buffer.concat([Buffer.from("From: other@example.com\r\n"), octets]);
      assert.equal(byDkimpy(added), "False");
    });

    test("survives relays that fold and space anew", async () => {
      const text = (await signed(pair)).toString("latin1");
      const folded = text
        .replace("subject:  A   folded", "Subject: A folded")
        .replace("\r\n\t two", " two");
      assert.deepEqual(await byMailauth(Buffer.from(folded, "latin1")), ["pass"]);
    });

    test("keeps every line short and says what is signed", async () => {
      const text = (await signed(pair)).toString("latin1");
      const field = text.slice(0, text.indexOf("\r\nFrom:"));
      for (const line of field.split("\r\n")) assert.ok(line.length <= 78, line);
      const tags = parseTagList(field.slice(field.indexOf(":") + 1));
      assert.ok(tags.ok);
      assert.equal(tags.value.has("l"), false);
      assert.equal(Number(tags.value.get("x")) - Number(tags.value.get("t")), 86_400);
      const names = (tags.value.get("h") ?? "").toLowerCase().split(/\s*:\s*/);
      const count = (name: string): number => names.filter((one) => one === name).length;
      assert.deepEqual(["from", "to", "cc", "sender"].map(count), [2, 3, 1, 0]);
    });
  });
}

describe("dkimSignature()", () => {
  test("stands beside the signature of another key", async () => {
    const made = await Promise.all(pairs.map((pair) => signature(pair, message)));
    const octets = Buffer.concat([Buffer.from(made.join("")), message]);
    assert.deepEqual(await byMailauth(octets), ["pass", "pass"]);
  });

  test("signs a message without body or most fields", async () => {
    for (const text of ["From: a@example.org\r\n\r\n", "From: a@example.org\r\n\r\n\r\n"]) {
      for (const pair of pairs) {
        const octets = await signed(pair, Buffer.from(text));
        assert.deepEqual(await byMailauth(octets), ["pass"]);
      }
    }
  });
});

describe("relaxedField()", () => {
  test("writes the examples of RFC 6376 §3.4.5", () => {
    assert.equal(relaxedField("A: X\r\n"), "a:X");
    assert.equal(relaxedField("B : Y\t\r\n\tZ  \r\n"), "b:Y Z");
  });
});

describe("dnsRecord()", () => {
  test("has the published form of RFC 8463 appendix A.2", () => {
    const raw = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    const info = Buffer.concat([
      Buffer.from("302a300506032b6570032100", "hex"),
      Buffer.from(raw, "base64"),
    ]).toString("base64");
    const record = dnsRecord({
      domain: "football.example.com",
      selector: "brisbane",
      algorithm: "ed25519-sha256",
      publicKey: info,
    });
    assert.equal(record.name, "brisbane._domainkey.football.example.com");
    assert.equal(record.text, `v=DKIM1; k=ed25519; h=sha256; p=${raw}`);
  });

  test("splits an RSA key into strings of at most 255 octets", () => {
    const { key } = pairs[0] ?? assert.fail();
    const { strings, text } = dnsRecord(key);
    assert.ok(strings.length > 1 && strings.every((one) => one.length <= 255));
    assert.equal(strings.join(""), text);
    assert.match(text, /p=MIIB/);
  });

  test("signatures verify with the published key alone", async () => {
    for (const pair of pairs) {
      const octets = Buffer.from("octets");
      const signature = await signWith(pair)(octets);
      const key = {
        key: Buffer.from(pair.key.publicKey, "base64"),
        format: "der",
        type: "spki",
      } as const;
      const isRsa = pair.key.algorithm === "rsa-sha256";
      const what = isRsa ? octets : hash("sha256", octets, "buffer");
      assert.ok(verify(isRsa ? "sha256" : null, what, key, signature));
    }
  });
});
