import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { dkimSign } from "mailauth/lib/dkim/sign.js";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import { pick, type Random, seededRandom } from "#base/random";
import {
  craft,
  ed25519Key,
  rsaKey,
  type TestKey,
  testDomain,
  verify,
  zoneOf,
} from "./fixture.test.ts";

const keys = [rsaKey("rsa", 1024), ed25519Key("ed")];
const zone = zoneOf(keys);
const forms = ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"] as const;

const oneOf = <Value>(random: Random, values: readonly Value[]): Value =>
  values[pick(random, values.length)] ?? assert.fail("no values");

const words = ["Hello", "b", "größe", "\xff\xfe", "=3D", "x".repeat(300), "(c)", '"q"', ";", "a=b"];
const gaps = [" ", "  ", "\t", " \t ", "\r\n ", "\r\n\t  "];
const ends = ["", "", " ", "\t", " \r\n\t"];
const breaks = ["\r\n", "\r\n", "\r\n", "\r\n\r\n", " \r\n", "\t\r\n", "\r\n\r\n\r\n"];

/** Odd white space, octets above ASCII, empty bodies, bodies that do not end in a line break. */
function makeMessage(random: Random): string {
  const text = (count: number): string =>
    Array.from({ length: 1 + pick(random, count) }, () => oneOf(random, words)).reduce(
      (sum, word) => `${sum}${oneOf(random, gaps)}${word}`,
    );
  const names = ["Subject", "to", "X-Any", "CC", "Date", "Message-ID"];
  const fields = names
    .filter(() => pick(random, 3) > 0)
    .map((name) => `${name}:${oneOf(random, ["", " ", "  \t"])}${text(6)}${oneOf(random, ends)}`);
  fields.splice(pick(random, fields.length + 1), 0, `From: Ann <ann@${testDomain}>`);
  const body = Array.from(
    { length: pick(random, 12) },
    () => `${text(8).replaceAll("\r\n", " ")}${oneOf(random, breaks)}`,
  ).join("");
  const cut = pick(random, 3) === 0 ? body.replace(/(?:\r\n)+$/, "") : body;
  return `${fields.join("\r\n")}\r\n\r\n${cut}`;
}

async function signByMailauth(
  message: string,
  key: TestKey,
  canonicalization: string,
): Promise<string> {
  const { signatures, errors } = await dkimSign(Buffer.from(message, "latin1"), {
    canonicalization,
    signatureData: [
      {
        signingDomain: testDomain,
        selector: key.selector,
        privateKey: key.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      },
    ],
  } as Parameters<typeof dkimSign>[1]);
  assert.deepEqual(errors, []);
  return `${signatures}${message}`;
}

const textOf = (name: string): string => {
  const [entry] = zone[name] ?? [];
  return typeof entry === "object" ? String(entry["TXT"]) : "";
};

async function mailauthSays(message: string): Promise<boolean> {
  const resolver = async (name: string): Promise<string[][]> => [[textOf(name)]];
  const { results } = await dkimVerify(Buffer.from(message, "latin1"), { resolver });
  return results.every(({ status }: { status: { result: string } }) => status.result === "pass");
}

async function weSay(message: string, random: Random): Promise<string> {
  const [verdict] = await verify(message, zone, { chunkOctets: 1 + pick(random, 200) });
  return verdict?.result ?? "";
}

/** One octet is another, is gone or is new, anywhere behind the signature but in names of fields. */
function mutate(message: string, from: number, random: Random): string {
  let at = from + pick(random, message.length - from);
  while (message[at] === "\r" || message[at] === "\n") at -= 1; // bare LF others take for CRLF
  const head = message.indexOf("\r\n\r\n");
  const line = message.lastIndexOf("\r\n", at) + 2;
  const fixed = /[ \t]/.test(message[line] ?? "") ? line : message.indexOf(":", line);
  if (at < head) at = Math.max(at, fixed + 1);
  // A line of the header that is no field ends the header for some, and is an error for others.
  const char = oneOf(random, ["x", " ", "\t", "\r\n ", "é", ":", at < head ? "y" : "\r\n"]);
  const rest = pick(random, 2) === 0 ? message.slice(at + 1) : message.slice(at);
  return message.slice(0, at) + (pick(random, 3) === 0 ? "" : char) + rest;
}

describe("checkDkim() and mailauth", () => {
  test("agree on 200 messages that mailauth signed, and on 200 that were altered", async () => {
    const random = seededRandom(6376);
    let fails = 0;
    for (let round = 0; round < 200; round += 1) {
      const key = keys[round % 2] ?? assert.fail("no key");
      const message = makeMessage(random);
      const signed = await signByMailauth(message, key, forms[round % 4] ?? "");
      assert.equal(await weSay(signed, random), "pass", JSON.stringify(signed));
      assert.equal(await mailauthSays(signed), true);

      const altered = mutate(signed, signed.length - message.length, random);
      const isPass = ["pass", "policy"].includes(await weSay(altered, random));
      assert.equal(isPass, await mailauthSays(altered), JSON.stringify(altered));
      if (!isPass) fails += 1;
    }
    assert.ok(fails > 100);
  });
});

const python = "/usr/bin/python3"; // Debian's, where python3-dkim installs
const script = `
import sys, json, base64, dkim
task = json.load(sys.stdin)
find = lambda name, timeout=5: task["zone"].get(name.decode().rstrip("."), "").encode()
def sign(text, c):
    head, body = (one.encode() for one in c.split("/"))
    octets = text.encode("latin1")
    field = dkim.sign(octets, b"rsa", b"example.org", task["key"].encode(), canonicalize=(head, body))
    return (field + octets).decode("latin1")
signed = [sign(text, c) for text, c in task["sign"]]
def verify(text):
    try:
        return dkim.DKIM(text.encode("latin1"), minkey=1024).verify(dnsfunc=find)
    except dkim.DKIMException:
        return False
verified = [verify(text) for text in task["verify"]]
print(json.dumps({"signed": signed, "verified": verified}))
`;
const hasDkimpy = spawnSync(python, ["-c", "import dkim, nacl"]).status === 0;

describe("checkDkim() and dkimpy", () => {
  const skip = hasDkimpy ? false : "python3-dkim and python3-nacl are not installed";
  test("agree on 200 messages that each signed, and on altered ones", { skip }, async () => {
    const random = seededRandom(8463);
    const [rsa = assert.fail("no key")] = keys;
    // Of a last line without a break, dkimpy keeps the space at the end; mailauth and we do not.
    const messages = Array.from({ length: 200 }, () => makeMessage(random).replace(/[ \t]+$/, ""));
    const ours = messages.map((message, index) =>
      craft(message, { key: rsa, tags: { c: forms[index % 4], h: "From:To:Subject:X-Any:Cc" } }),
    );
    const altered = ours.map((text, index) =>
      mutate(text, text.length - (messages[index] ?? "").length, random),
    );
    const input = JSON.stringify({
      zone: Object.fromEntries(Object.keys(zone).map((name) => [name, textOf(name)])),
      key: rsa.privateKey.export({ type: "pkcs1", format: "pem" }),
      sign: messages.map((message, index) => [message, forms[index % 4]]),
      verify: [...ours, ...altered],
    });
    const run = spawnSync(python, ["-c", script], { input, encoding: "utf8", maxBuffer: 1e8 });
    assert.equal(run.status, 0, run.stderr);
    const { signed, verified }: { signed: string[]; verified: boolean[] } = JSON.parse(run.stdout);
    for (const text of signed)
      assert.equal(await weSay(text, random), "pass", JSON.stringify(text));
    for (const [index, text] of [...ours, ...altered].entries()) {
      const isPass = ["pass", "policy"].includes(await weSay(text, random));
      assert.equal(isPass, verified[index], JSON.stringify(text));
      if (index < ours.length) assert.equal(isPass, true);
    }
  });
});
