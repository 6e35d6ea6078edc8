/** Real Postfix, Exim, OpenSMTPD and Haraka: mail to each and from each (tests/kit/interop.ts has the long form). */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  type Exchange,
  type House,
  openHouse,
  peerFaults,
  sendFrom,
  sendTo,
} from "../kit/interop.ts";

/** The long form: POSTERN_INTEROP_MESSAGES=1000. */
const count = Number(process.env["POSTERN_INTEROP_MESSAGES"] ?? 50);
const names = (["postfix", "exim", "opensmtpd", "haraka"] as const).filter(
  (name) => peerFaults[name] === false,
);

/** Every message once, octet for octet, every wish granted, no hop in the clear. */
function assertWhole(exchange: Exchange, sent: number): void {
  const { arrived, repeated, equal, utf8, confirmations, tls } = exchange;
  const told = JSON.stringify(exchange);
  assert.deepEqual({ arrived, repeated, equal }, { arrived: sent, repeated: 0, equal: sent }, told);
  assert.equal(utf8.arrived, utf8.sent, told);
  assert.equal(confirmations.came, confirmations.asked, told);
  const hops = Object.entries(tls);
  assert.ok(
    hops.every(([version]) => version.startsWith("TLSv1.")),
    told,
  );
  assert.equal(hops.reduce((sum, [, times]) => sum + times, 0) >= sent, true, told);
}

describe("mail servers of others", () => {
  let house: House;
  before(async () => {
    house = await openHouse(names);
  });
  after(() => house[Symbol.asyncDispose]());

  for (const name of ["postfix", "exim", "opensmtpd", "haraka"] as const) {
    const skip = peerFaults[name];
    test(`${count} messages reach ${name} over TLS, each once and unchanged`, {
      skip,
    }, async (t) => {
      const peer = house.peers.find((one) => one.name === name);
      assert.ok(peer);
      const exchange = await sendTo(house, peer, count);
      t.diagnostic(JSON.stringify(exchange));
      assertWhole(exchange, count);
    });

    test(`${count} messages of ${name} reach a mailbox here, each once and unchanged`, {
      skip,
    }, async (t) => {
      const peer = house.peers.find((one) => one.name === name);
      assert.ok(peer);
      const exchange = await sendFrom(house, peer, count);
      t.diagnostic(JSON.stringify(exchange));
      assertWhole(exchange, count);
    });
  }
});
