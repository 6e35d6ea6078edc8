import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { systemRandom } from "#base/random";
import type { PolicySnapshot } from "#contracts/deposit";
import { type Link, type LinkStream, linkPair } from "#contracts/link";
import { makeSealKeys } from "#contracts/sealed";
import { completeInbound, inboundParameters } from "#transport/connectors";
import { type FakeClock, fakeClock } from "../../tests/kit/fake-clock.ts";
import { readInbound } from "../edge/smtp/connectors-shape.ts";
import { hubEvents } from "./events.ts";
import type { Inside } from "./inside.ts";
import { policyPusher } from "./policy-pusher.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-pusher-"));
const policyKey = join(folder, "policy.pem");
const sealKeys = join(folder, "seal.json");
const { privateKey } = generateKeyPairSync("ed25519");
writeFileSync(policyKey, privateKey.export({ type: "pkcs8", format: "pem" }));
writeFileSync(sealKeys, JSON.stringify(makeSealKeys()));
after(() => rmSync(folder, { recursive: true }));

let clock: FakeClock;
let hubLink: Link;
let edgeLink: Link;
/** Versions that were pushed, in order. */
let pushed: number[];
let last: PolicySnapshot | undefined;
/** What the edge does with each. */
let edge: (stream: LinkStream, version: number) => void;

beforeEach(() => {
  clock = fakeClock();
  pushed = [];
  edge = (stream, version) => stream.answer({ version });
  [hubLink, edgeLink] = linkPair();
  edgeLink.onStream((stream) => {
    let text = "";
    stream.receive({
      data(chunk) {
        text += chunk.toString();
      },
      end() {
        const { snapshot } = JSON.parse(text) as { snapshot: string };
        const read = JSON.parse(snapshot) as PolicySnapshot;
        const { version } = read;
        last = read;
        pushed.push(version);
        edge(stream, version);
      },
      broken() {},
    });
  });
});

afterEach(() => {
  hubLink.close("test is over");
  edgeLink.close("test is over");
});

function pusher(linkNow: () => Link | undefined = () => hubLink) {
  const directory = { deliverableAddresses: () => [], domains: () => [] };
  const inside = {
    settings: { policyKey, sealKeys, identity: {}, smtp: { maxMessageBytes: 1 }, inbound },
    clock,
    random: systemRandom,
    events: hubEvents(silentLog, new Registry()),
    directory,
    gateways: { domains: [] },
    signer: { keys: [] },
  };
  return policyPusher(inside as unknown as Inside, linkNow);
}

async function until(holds: () => boolean): Promise<void> {
  for (const deadlineMs = Date.now() + 20_000; !holds(); await turn()) {
    assert.ok(Date.now() < deadlineMs, "it never came so far");
  }
}

const acme = completeInbound("acme", {
  ...defaultsOf(inboundParameters),
  ...{ networks: ["192.0.2.0/24"], certificates: ["AB".repeat(32)], user: "acme" },
  ...{ secretFiles: ["/secrets/acme"], senderDomains: ["Acme.example"], tlsGroups: ["P-256"] },
});
const inbound = [acme, { ...acme, name: "printer", door: "relay" }];

describe("policyPusher()", () => {
  test("CAP-44 pushes the connectors of the edge, and nothing of their secrets", async () => {
    await pusher().push();
    const { secretFiles: _files, secretMaxAgeDays: _age, ...told } = acme;
    assert.deepEqual(last?.inbound, [told]);
    assert.deepEqual(readInbound(last?.inbound), [told], "the edge takes what we push");
  });

  test("goes above a later version that the edge holds, with one more push", async () => {
    let held = clock.nowMs() + 3_600_000;
    edge = (stream, version) => {
      held = Math.max(held, version);
      stream.answer({ version: held });
    };
    const before = held;
    const policy = pusher();
    await policy.push();
    assert.deepEqual(pushed, [clock.nowMs(), before + 1]);
    assert.equal(clock.pending(), 0, "it is not tried again");
    await policy.push();
    assert.deepEqual(pushed.slice(2), [before + 2]);
  });

  test("does not count without end with an edge that always holds more", async () => {
    edge = (stream, version) => stream.answer({ version: version + 1 });
    await pusher().push();
    assert.equal(pushed.length, 2);
    assert.equal(clock.pending(), 1);
  });

  test("tries again five seconds after a push that failed", async () => {
    edge = (stream) => stream.abort("not now");
    await pusher().push();
    assert.equal(pushed.length, 1);
    edge = (stream, version) => stream.answer({ version });
    await clock.advance(4999);
    assert.equal(pushed.length, 1);
    await clock.advance(1);
    await until(() => pushed.length === 2);
    assert.ok((pushed[1] ?? 0) > (pushed[0] ?? 0));
    await clock.advance(60_000);
    assert.equal(pushed.length, 2);
    assert.equal(clock.pending(), 0);
  });

  test("makes one more push of all changes that come during one", async () => {
    const held: (() => void)[] = [];
    edge = (stream, version) => void held.push(() => stream.answer({ version }));
    const policy = pusher();
    const pushes = [policy.push()];
    await until(() => held.length === 1);
    for (let change = 0; change < 3; change += 1) pushes.push(policy.push());
    held[0]?.();
    await until(() => held.length === 2);
    held[1]?.();
    await Promise.all(pushes);
    assert.equal(pushed.length, 2);
    assert.ok((pushed[1] ?? 0) > (pushed[0] ?? 0));
  });

  test("waits for no link: the next one is told anyway", async () => {
    await pusher(() => undefined).push();
    assert.equal(clock.pending(), 0);
  });
});
