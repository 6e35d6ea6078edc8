import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { systemClock } from "#base/clock";
import type { Link, LinkStream } from "#contracts/link";
import { fakeClock } from "../../tests/kit/fake-clock.ts";
import { signedPusher } from "./signed-push.ts";

/** An edge that answers each policy with the version that it goes by. */
function edgeWith(held: number): Link {
  const stream = {
    ...{ receive() {}, send: () => true, end() {} },
    answered: Promise.resolve({ version: held }),
  };
  return { open: () => stream as unknown as LinkStream } as unknown as Link;
}

test("signedPusher() pushes over the first link, though it was asked to before there was one", async () => {
  const { privateKey } = generateKeyPairSync("ed25519");
  let link: Link | undefined;
  let pushed = 0;
  const pusher = signedPusher({
    clock: systemClock,
    events: { policyPushed: () => void (pushed += 1) },
    edge: "edge-smtp",
    policyKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }),
    linkNow: () => link,
    textOf: () => "{}",
  });
  await pusher.push();
  await pusher.push();
  assert.equal(pushed, 0);
  link = edgeWith(-1);
  await pusher.push();
  assert.equal(pushed, 1);
});

test("signedPusher() tries again in one round, however often it was asked meanwhile", async () => {
  const { privateKey } = generateKeyPairSync("ed25519");
  const clock = fakeClock();
  let pushed = 0;
  const pusher = signedPusher({
    clock,
    events: { policyPushed: () => void (pushed += 1) },
    edge: "edge-smtp",
    policyKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }),
    linkNow: () => edgeWith(-1),
    textOf: () => "{}",
  });
  for (let change = 0; change < 5; change += 1) await pusher.push();
  assert.equal(pushed, 5);
  assert.equal(clock.pending(), 1);
  await clock.advance(5000);
  assert.equal(pushed, 6);
});
