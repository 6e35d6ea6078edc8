import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { parseHeader } from "#formats/message";
import { bodyDigests } from "#identity/dkim";
import type { Zone } from "../../../tests/kit/fake-dns.ts";
import { craft, ed25519Key, rsaKey, verify, zoneOf } from "./fixture.test.ts";

const folder = new URL("../../../tests/conformance/dkim/", import.meta.url);
const vector = (name: string): string => readFileSync(new URL(name, folder), "latin1");
const message = (name: string): string => vector(name).replace(/\r?\n/g, "\r\n");

/** RFC 8463 §A.2 publishes these keys; the one for RSA is that of test.txt. */
const ofExamples: Zone = {
  "brisbane._domainkey.football.example.com": [
    { TXT: "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=" },
  ],
  "test._domainkey.football.example.com": [{ TXT: vector("test.txt").trim() }],
};
const ofExim: Zone = { "sed._domainkey.test.ex": [{ TXT: vector("eximtest.dns").trim() }] };

/** Signed by others: what each signature comes to. */
const signed: Readonly<Record<string, readonly [Zone, readonly (readonly [string, RegExp])[]]>> = {
  "rfc6376.signed.msg": [
    ofExamples,
    [
      ["pass", /^signed by football.example.com$/],
      ["pass", /^signed/],
    ],
  ],
  "rfc6376.signed.rsa.msg": [ofExamples, [["pass", /^signed by football.example.com$/]]],
  "ed25519test2.msg": [ofExim, [["pass", /^signed by test.ex, but not Sender, Date, Message-ID$/]]],
  "test.message.baddomain": [{}, [["permerror", /^d= is no domain$/]]],
  // Their keys are not published any more.
  "test2.message": [{}, [["permerror", /no key/]]],
  "message.mbox": [{}, [["permerror", /no key/]]],
};

/** Not signed: "none", and a pass once we sign them. */
const unsigned = [
  "ed25519test.msg",
  "rfc6376.msg",
  "rfc6376.w1258.msg",
  "test.message",
  "test_extra.message",
];

/** Key records, and what becomes of a signature that names them: their private keys are not here. */
const records: Readonly<Record<string, readonly [string, RegExp]>> = {
  "1024_testkey_wo_markers.pub.rsa.txt": ["fail", /does not fit/],
  "1024_testkey_wo_markers.pub.txt": ["fail", /does not fit/],
  "2048_testkey_PKCS8.key.pub.txt": ["fail", /does not fit/],
  "2048_testkey_wo_markers.pub.rsa.txt": ["fail", /does not fit/],
  "2048_testkey_wo_markers.pub.txt": ["fail", /does not fit/],
  "test.txt": ["fail", /does not fit/],
  "test2.txt": ["fail", /does not fit/],
  "badk.txt": ["permerror", /k= is not known/],
  "badversion.txt": ["permerror", /no key/],
  "test_bad.txt": ["permerror", /no RSA key/],
  "test_tlsrpt.txt": ["permerror", /not for mail/],
  "ed25519test.dns": ["permerror", /the key is for ed25519/],
};

const rsa = rsaKey("rsa");
const ed25519 = ed25519Key("ed25519");
const own = zoneOf([rsa, ed25519]);

describe("checkDkim() on what others signed", () => {
  for (const [name, [zone, wanted]] of Object.entries(signed)) {
    test(name, async () => {
      const text = message(name);
      const verdicts = await verify(text, zone);
      assert.equal(verdicts.length, wanted.length);
      for (const [index, [result, why]] of wanted.entries()) {
        assert.equal(verdicts[index]?.result, result, verdicts[index]?.why ?? "");
        assert.match(verdicts[index]?.why ?? "", why);
      }
      if (wanted[0]?.[0] === "pass") {
        const [altered] = await verify(text.replace(/\r\n\r\n(.)/, "\r\n\r\nX$1"), zone);
        assert.equal(altered?.why, "the body was changed");
      }
    });
  }
});

describe("bodyDigests() on what others signed", () => {
  for (const name of ["test2.message", "message.mbox", "ed25519test2.msg"]) {
    test(`${name} has the digest that is signed`, () => {
      const octets = Buffer.from(message(name), "latin1");
      const header = parseHeader(octets);
      const digests = bodyDigests(header);
      digests.write(octets.subarray(header.end));
      digests.finish();
      for (const { signature } of digests.read.values()) {
        assert.ok(typeof signature === "object");
        assert.equal(digests.digestFor(signature)?.hash, signature.bodyHash);
      }
      assert.equal(digests.read.size, 1);
    });
  }
});

describe("checkDkim() on what nobody signed", () => {
  for (const name of unsigned) {
    test(name, async () => {
      assert.deepEqual(
        (await verify(message(name), own)).map(({ result }) => result),
        ["none"],
      );
      for (const key of [rsa, ed25519]) {
        for (const c of ["simple/simple", "relaxed/relaxed"]) {
          const [verdict] = await verify(craft(message(name), { key, tags: { c } }), own);
          assert.equal(verdict?.result, "pass", verdict?.why ?? "");
        }
      }
    });
  }

  test("test_nofrom.message is signed in vain", async () => {
    const text = craft(message("test_nofrom.message"), { key: rsa, tags: { h: "To:Subject" } });
    const [verdict] = await verify(text, own);
    assert.deepEqual([verdict?.result, verdict?.why], ["permerror", "From is not signed"]);
  });
});

describe("checkDkim() reads key records", () => {
  for (const [name, [result, why]] of Object.entries(records)) {
    test(name, async () => {
      const text = craft(message("test.message"), { key: rsa });
      const zone = { "rsa._domainkey.example.org": [{ TXT: vector(name).trim() }] };
      const [verdict] = await verify(text, zone);
      assert.equal(verdict?.result, result, verdict?.why ?? "");
      assert.match(verdict?.why ?? "", why);
    });
  }
});

test("every file of the folder is in a table", () => {
  const listed = [...Object.keys(signed), ...unsigned, ...Object.keys(records)];
  const rest = ["LICENSE", "SOURCE.md", "eximtest.dns", "test_nofrom.message"];
  assert.deepEqual([...listed, ...rest].sort(), readdirSync(folder).sort());
});
