import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { systemClock } from "#base/clock";
import type { Link, LinkStream } from "#contracts/link";
import { signedPusher } from "./signed-push.ts";

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
  const stream = {
    ...{ receive() {}, send: () => true, end() {} },
    answered: Promise.resolve({ version: -1 }),
  };
  link = { open: () => stream as unknown as LinkStream } as unknown as Link;
  await pusher.push();
  assert.equal(pushed, 1);
});
