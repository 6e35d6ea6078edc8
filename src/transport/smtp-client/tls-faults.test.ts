import assert from "node:assert/strict";
import { test } from "node:test";
import { handshakeFault } from "./tls-faults.ts";

test("what has no words of ours is told in a sentence, with OpenSSL's own behind it", () => {
  const raw = "80AB:error:0A000126:SSL routines:ssl3_read_n:unexpected eof\r\nwhile reading";
  const error = Object.assign(new Error(raw), { code: "ERR_SSL_UNEXPECTED_EOF" });
  assert.deepEqual(handshakeFault(error, "TLSv1.2"), [
    "validation-failure",
    "the TLS handshake broke off: 80AB:error:0A000126:SSL routines:ssl3_read_n:unexpected eof while reading",
  ]);
  const long = handshakeFault(new Error("x".repeat(5000)), "TLSv1.2")[1];
  assert.ok(long.length < 300);
});
