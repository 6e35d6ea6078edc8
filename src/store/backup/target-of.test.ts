import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { Misconfigured } from "#base/errors";
import { pick, seededRandom } from "#base/random";
import { parseCredentials, targetOf } from "./target-of.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-target-of-"));
after(() => rmSync(folder, { recursive: true }));

const credentialsFile = join(folder, "credentials");
writeFileSync(
  credentialsFile,
  "[default]\naws_access_key_id = AKIA1\naws_secret_access_key=a/b+c==\nregion = x\n",
);
const none = { endpoint: "", region: "us-east-1", credentialsFile: "", caFile: "" };
const s3 = { ...none, endpoint: "https://s3.example.org", credentialsFile };

describe("targetOf()", () => {
  test("takes a folder by its whole path, and a bucket with or without a prefix", () => {
    assert.equal(targetOf({ ...none, target: folder }).title, folder);
    for (const target of [
      "s3://bucket",
      "s3://bucket/",
      "s3://bucket/mail/hub-1",
      "s3://bucket/m/",
    ]) {
      assert.match(targetOf({ ...s3, target }).title, /bucket/);
    }
  });

  const refused: readonly [string, Parameters<typeof targetOf>[0], RegExp][] = [
    ["nothing", { ...none, target: "" }, /backup\.target/],
    ["half a path", { ...none, target: "backups" }, /whole path/],
    ["another scheme", { ...s3, target: "https://s3.example.org/b" }, /whole path/],
    ["a bucket without a service", { ...s3, endpoint: "", target: "s3://b" }, /endpoint/],
    [
      "a bucket without credentials",
      { ...s3, credentialsFile: "", target: "s3://b" },
      /credentials/,
    ],
    ["a service that is no address", { ...s3, endpoint: "s3", target: "s3://bucket" }, /./],
    ["no bucket", { ...s3, target: "s3://" }, /./],
    ["a prefix that goes up", { ...s3, target: "s3://bucket/../x" }, /prefix/],
    [
      "credentials that are not there",
      { ...s3, credentialsFile: "/none", target: "s3://b1" },
      /ENOENT/,
    ],
  ];
  for (const [what, given, why] of refused) {
    test(`refuses ${what}, and says what to do`, () => {
      assert.throws(
        () => targetOf(given),
        (error) => error instanceof Misconfigured && why.test(error.message),
      );
    });
  }

  test("tells nothing of the credentials", () => {
    const { title } = targetOf({ ...s3, target: "s3://bucket/x" });
    assert.ok(!title.includes("AKIA1") && !title.includes("a/b+c"));
  });
});

describe("parseCredentials()", () => {
  test("finds both lines wherever they stand, and nothing else", () => {
    assert.deepEqual(parseCredentials("AWS_ACCESS_KEY_ID=x\r\nAWS_SECRET_ACCESS_KEY = y\r\n"), {
      accessKeyId: "x",
      secretAccessKey: "y",
    });
    assert.equal(parseCredentials("aws_access_key_id = x\n"), undefined);
    assert.equal(parseCredentials(""), undefined);
  });

  test("survives any text", () => {
    const random = seededRandom(3);
    const words = [
      "aws_access_key_id",
      "aws_secret_access_key",
      "=",
      " ",
      "\n",
      "x",
      "[",
      "\0",
      "é",
    ];
    for (let round = 0; round < 2000; round += 1) {
      let text = "";
      for (let count = pick(random, 30); count > 0; count -= 1)
        text += words[pick(random, words.length)];
      const keys = parseCredentials(text);
      assert.ok(keys === undefined || keys.accessKeyId !== "");
    }
  });
});
