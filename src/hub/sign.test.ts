import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { Denied, Unavailable } from "#base/errors";
import type { SigningKey } from "#contracts/keyring";
import { parseHeader } from "#formats/message";
import { signatures } from "./sign.ts";

const octets = Buffer.from("From: ann@example.org\r\n\r\nHello\r\n");
const unsigned = { octets: [octets], header: parseHeader(octets), missing: "" };
const key = (selector: string): SigningKey => ({
  ...{ domain: "example.org", selector, algorithm: "ed25519-sha256", publicKey: "" },
});

/** A keyring whose key changes between the two questions, so many times. */
function rotating(times: number): Parameters<typeof signatures>[2] {
  let asked = 0;
  return {
    clock: systemClock,
    keyring: {
      dkimKeys: async () => [key(`s${(asked += 1)}`)],
      async dkimSign(_domain, selector) {
        if (selector === `s${times + 1}`) return Buffer.alloc(64);
        throw new Denied("no such key");
      },
    },
  };
}

describe("signatures()", () => {
  test("asks again when a key retires before it has signed", async () => {
    assert.match(await signatures(unsigned, "example.org", rotating(0)), /s=s1;/);
    assert.match(await signatures(unsigned, "example.org", rotating(1)), /s=s2;/);
    await assert.rejects(signatures(unsigned, "example.org", rotating(2)), Denied);
  });

  test("does not sign without keys, nor hide that the keyring is away", async () => {
    const { keyring, clock } = rotating(0);
    const none = { clock, keyring: { ...keyring, dkimKeys: async () => [] } };
    assert.equal(await signatures(unsigned, "example.org", none), "");
    const away = {
      clock,
      keyring: { ...keyring, dkimKeys: () => Promise.reject(new Unavailable()) },
    };
    await assert.rejects(signatures(unsigned, "example.org", away), Unavailable);
  });
});
