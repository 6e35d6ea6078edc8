import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { pick, type Random, seededRandom } from "#base/random";
import { field, parseHeader, rawField } from "#formats/message";
import { bodyDigests, readMessageSignature, readTags } from "#identity/dkim";
import { craft, ed25519Key, plainBody, plainField, verify, zoneOf } from "./fixture.test.ts";

const key = ed25519Key("ed");
const zone = zoneOf([key]);
const names = ["From", "To", "Subject", "Date"];
const message =
  "From: Ann <ann@example.org>\r\nTo: bob@example.net,\r\n\tcarl@example.net\r\nSubject:  Lunch  today\r\nX-Other: z\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n\r\nAt  noon? \r\n\r\nYes.\r\n\r\n";

const oneOf = (random: Random, values: readonly string[]): string =>
  values[pick(random, values.length)] ?? "";

/** What a signature covers, by the plain rules. */
function covered(text: string, c: string): string {
  const [headerForm = "", bodyForm = ""] = c.split("/");
  const octets = Buffer.from(text, "latin1");
  const header = parseHeader(octets);
  const fields = names.map((name) => {
    const found = field(header, name);
    const raw = found === undefined ? "" : rawField(header, found).toString("latin1");
    return plainField(raw.replace(/\r?\n$/, ""), headerForm);
  });
  return [...fields, plainBody(octets.toString("latin1", header.end), bodyForm)].join("\0");
}

describe("checkDkim() under noise", () => {
  for (const c of ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"]) {
    test(`A8: altered anywhere, ${c} passes only when the canonical form is the same`, async () => {
      const random = seededRandom(c.length);
      const signed = craft(message, { key, tags: { c } });
      let passes = 0;
      for (let round = 0; round < 1500; round += 1) {
        const at = pick(random, signed.length);
        const piece = oneOf(random, [
          "",
          " ",
          "\t",
          "\r\n",
          "\r\n ",
          "x",
          ";",
          "=",
          ":",
          "\0",
          "\xff",
          "b=",
        ]);
        const altered = signed.slice(0, at) + piece + signed.slice(at + pick(random, 3));
        const verdicts = await verify(altered, zone, { chunkOctets: 1 + pick(random, 60) });
        if (verdicts[0]?.result !== "pass") continue;
        passes += 1;
        assert.equal(covered(altered, c), covered(signed, c), JSON.stringify(altered));
      }
      assert.ok(passes > 10, String(passes));
    });
  }

  test("never throws, whatever signature and key record say", async () => {
    const random = seededRandom(8301);
    const tags = ["v", "a", "b", "bh", "c", "d", "h", "i", "l", "s", "t", "x", "q", "k", "p", "n"];
    const values = [
      "1",
      "DKIM1",
      "rsa-sha256",
      "ed25519-sha256",
      "rsa",
      "ed25519",
      "example.org",
      "@",
      "a@b",
      "ed",
      "relaxed/relaxed",
      "From:To",
      "",
      "::",
      "AAAA",
      "y:s",
      "sha256",
      "9".repeat(80),
      "\xff",
      "\0",
      key.published,
      "/".repeat(40),
    ];
    const list = (): string =>
      Array.from(
        { length: pick(random, 12) },
        () =>
          `${oneOf(random, tags)}${oneOf(random, ["=", " = ", "", "=="])}${oneOf(random, values)}`,
      ).join(oneOf(random, [";", "; ", ";\r\n ", ";;"]));
    const seen = new Set<string>();
    for (let round = 0; round < 3000; round += 1) {
      const fixed =
        pick(random, 2) === 0
          ? "v=1;a=ed25519-sha256;s=ed;d=example.org;h=From;bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;b=AAAA;"
          : "";
      const text = `DKIM-Signature: ${fixed}${list()}\r\nFrom: a@example.org\r\n\r\n`;
      const published = pick(random, 2) === 0 ? `p=${key.published};k=ed25519;` : "";
      const own = { "ed._domainkey.example.org": [{ TXT: published + list() }] };
      const [verdict] = await verify(text, own);
      assert.notEqual(verdict?.result, "pass");
      seen.add(verdict?.result ?? "");
    }
    assert.ok(seen.has("permerror") && seen.has("fail"), [...seen].join());
  });
});

describe("bodyDigests()", () => {
  test("costs no hash without a signature, and one for each form", () => {
    const digestsOf = (text: string) => {
      const header = parseHeader(Buffer.from(text, "latin1"));
      const digests = bodyDigests(header);
      digests.write(Buffer.from("a  b\r\n"));
      digests.finish();
      const own = field(header, "DKIM-Signature");
      const tags = own ? readTags(header, own) : "";
      const read = own && typeof tags !== "string" ? readMessageSignature(own, tags) : "";
      return typeof read === "string" ? undefined : digests.digestFor(read);
    };
    assert.equal(digestsOf(message), undefined);
    const two = craft(craft(message, { key, tags: { l: "3" } }), { key, tags: { l: "2" } });
    assert.equal(digestsOf(two)?.unsignedOctets, 3); // of "a b" and its line break
  });

  test("tells every first part of a body, in any chunks, from one pass", () => {
    const random = seededRandom(6376);
    const body = Buffer.from("one  two \t\r\n\r\n \r\nthree\r\n".repeat(700), "latin1");
    for (let round = 0; round < 40; round += 1) {
      const form = round % 2 === 0 ? "simple" : "relaxed";
      const canonical = plainBody(body.toString("latin1"), form);
      const lengths = Array.from({ length: 8 }, () => pick(random, canonical.length + 1));
      const text = lengths
        .map((l) =>
          craft(`From: a\r\n\r\n${body.toString("latin1")}`, {
            key,
            tags: { c: `simple/${form}`, l: `${l}` },
          }),
        )
        .map((signed) => signed.slice(0, signed.indexOf("\r\nFrom:") + 2))
        .join("");
      const header = parseHeader(Buffer.from(`${text}From: a\r\n\r\n`, "latin1"));
      const digests = bodyDigests(header);
      for (let at = 0; at < body.length; ) {
        const size = 1 + pick(random, 900);
        digests.write(body.subarray(at, at + size));
        at += size;
      }
      digests.finish();
      for (const { signature } of digests.read.values()) {
        assert.ok(typeof signature === "object");
        const digest = digests.digestFor(signature);
        assert.equal(digest?.hash, signature.bodyHash);
        assert.equal(digest?.unsignedOctets, canonical.length - (signature.bodyOctets ?? 0));
      }
    }
  });
});

test("checkDkim() is linear at a million octets", async () => {
  const million = (piece: string): string => piece.repeat(Math.ceil(1e6 / piece.length));
  const texts = [
    `DKIM-Signature: ${million("a=b;")}\r\n\r\n`,
    `DKIM-Signature: v=1; b=${million(" ")}\r\n\r\n`,
    `DKIM-Signature: ${million(" \r\n ;b")}\r\n\r\n`,
    ...[" ", "\t", " \r\n\t", "x", "b=;", "(", "\0"].map((piece) =>
      craft(`From: ${million(piece).slice(0, 200_000)}\r\n\r\n`, { key }),
    ),
    ...[" ", "\t", " a", "  a", " \r\n", "\r", "\n", "\r\n"].flatMap((piece) =>
      ["simple/simple", "relaxed/relaxed"].map((c) =>
        craft(`From: a@example.org\r\n\r\n${million(piece)}`, { key, tags: { c } }),
      ),
    ),
  ];
  const startedAt = performance.now();
  for (const text of texts) await verify(text, zone, { chunkOctets: 500 });
  const spentMs = performance.now() - startedAt;
  assert.ok(spentMs < 5000, `${spentMs} ms`);
});
