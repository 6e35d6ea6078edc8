import assert from "node:assert/strict";
import { createPublicKey, hash, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { field, fields, headerEnd, parseHeader, rawField, valueOf } from "#formats/message";
import { parseTagList } from "#formats/tag-list";
import { hashBody } from "#identity/dkim";
import { relaxedField } from "./header.ts";

const vector = (name: string): string =>
  readFileSync(new URL(`../../../tests/conformance/dkim/${name}`, import.meta.url), "latin1");

const [, published = ""] = /p=([A-Za-z0-9+/=]+)/.exec(vector("eximtest.dns")) ?? [];
const info = `302a300506032b6570032100${Buffer.from(published, "base64").toString("hex")}`;
const eximKey = createPublicKey({ key: Buffer.from(info, "hex"), format: "der", type: "spki" });

/** A message and, where the record of its key is known, that key. */
const cases = [
  ["ed25519test2.msg", eximKey],
  ["test2.message", undefined],
] as const;

describe("what others signed in relaxed form", () => {
  for (const [name, key] of cases) {
    test(`${name} has the same canonical body and header`, () => {
      const octets = Buffer.from(vector(name).replace(/\r?\n/g, "\r\n"), "latin1");
      const header = parseHeader(octets);
      const own = field(header, "DKIM-Signature") ?? assert.fail("no signature");
      const tags = parseTagList(valueOf(header, own));
      assert.ok(tags.ok);
      const bare = (tag: string): string => (tags.value.get(tag) ?? "").replace(/\s/g, "");
      assert.equal(hashBody([octets], headerEnd(octets)), bare("bh"));

      const lines = bare("h")
        .split(":")
        .flatMap((signed) => {
          const last = fields(header, signed).at(-1);
          return last ? [relaxedField(rawField(header, last).toString("latin1"))] : [];
        });
      const unsigned = rawField(header, own)
        .toString("latin1")
        .replace(/\bb=[^;]*/, "b=");
      const signed = Buffer.from([...lines, relaxedField(unsigned)].join("\r\n"), "latin1");
      const signature = Buffer.from(bare("b"), "base64");
      const isSigned = key && verify(null, hash("sha256", signed, "buffer"), key, signature);
      assert.notEqual(isSigned, false);
    });
  }
});
