import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { queryText, sha256, signed } from "./sign.ts";

/** The examples of the description of Signature Version 4 for S3, with its well-known keys. */
const credentials = {
  accessKeyId: "AKIAIOSFODNN7EXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
  region: "us-east-1",
};
const atMs = Date.UTC(2013, 4, 24);
const host = "examplebucket.s3.amazonaws.com";

function signatureOf(
  method: string,
  path: string,
  {
    query = {},
    headers = {},
    body = "",
  }: Partial<Record<"query" | "headers", Record<string, string>>> & {
    body?: string;
  } = {},
): string {
  const request = {
    method,
    path,
    query: queryText(query),
    headers: { host, ...headers },
    payloadSha256: sha256(body),
  };
  return /Signature=(.*)$/.exec(signed(request, credentials, atMs).authorization ?? "")?.[1] ?? "";
}

describe("signed()", () => {
  test("gives the signature of the published example for a range of an object", () => {
    assert.equal(
      signatureOf("GET", "/test.txt", { headers: { range: "bytes=0-9" } }),
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
  });

  test("gives the signature of the published example for a body with further headers", () => {
    const headers = {
      date: "Fri, 24 May 2013 00:00:00 GMT",
      "x-amz-storage-class": "REDUCED_REDUNDANCY",
    };
    assert.equal(
      signatureOf("PUT", "/test%24file.text", { headers, body: "Welcome to Amazon S3." }),
      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    );
  });

  test("gives the signatures of the published examples with a query", () => {
    assert.equal(
      signatureOf("GET", "/", { query: { lifecycle: "" } }),
      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    );
    assert.equal(
      signatureOf("GET", "/", { query: { prefix: "J", "max-keys": "2" } }),
      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    );
  });
});

test("queryText() encodes all but unreserved characters, in upper case (RFC 3986 §2.1)", () => {
  assert.equal(
    queryText({ b: "a/b c+d=*'()!~", a: "ü" }),
    "a=%C3%BC&b=a%2Fb%20c%2Bd%3D%2A%27%28%29%21~",
  );
});
