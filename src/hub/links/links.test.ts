import assert from "node:assert/strict";
import { describe, test } from "node:test";
import tls from "node:tls";
import { systemClock } from "#base/clock";
import { silentLog } from "#base/log";
import { simulatedNet } from "#base/net-sim";
import { seededRandom } from "#base/random";
import {
  exchangeHello,
  type Link,
  type LinkClass,
  linkProtocol,
  linkVersion,
  muxOver,
} from "#contracts/link";
import { type DialledEdge, type DialOptions, dialEdge, retryDelayMs } from "#hub/links";
import { party } from "../../../tests/kit/certificate.ts";

const edge = party("edge-smtp");
const hub = party("hub");
const at = { host: "edge", port: 7000 };

/** An edge on a simulated network, which answers "asked" from the hub's side of no one else. */
async function world(change: Partial<DialOptions> = {}, edgeHas = edge) {
  const net = simulatedNet(seededRandom(11));
  const ups: { linkClass: LinkClass; link: Link }[] = [];
  const server = tls.createServer({
    cert: edgeHas.pem,
    key: edgeHas.pem,
    ca: hub.pem,
    requestCert: true,
    minVersion: "TLSv1.3",
    ALPNProtocols: [linkProtocol],
  });
  server.on("tlsClientError", () => {});
  const greet = async (socket: tls.TLSSocket): Promise<void> => {
    socket.on("error", () => {});
    const own = { version: linkVersion - 1, linkClass: "prompt", nonce: "a".repeat(32) } as const;
    const hello = await exchangeHello(socket, own, systemClock, 2000).catch(() => undefined);
    if (hello === undefined) return;
    const link = muxOver(socket, "opener-even", { peer: "hub" });
    link.onStream((stream) => stream.answer({ version: 1 }));
    ups.push({ linkClass: hello.linkClass, link });
  };
  server.on("secureConnection", (socket) => void greet(socket));
  const listener = await net.listen(at, (stream) => void server.emit("connection", stream));
  const dialled: DialledEdge = dialEdge({
    endpoint: at,
    certificatePem: hub.pem,
    keyPem: hub.pem,
    caPem: edgeHas.pem,
    pinnedPeers: [edge.pin],
    clock: systemClock,
    log: silentLog,
    random: seededRandom(4),
    net,
    ...change,
  });
  return { net, ups, dialled, listener };
}

describe("dialEdge()", () => {
  test("brings up every class, speaks both ways, and stops when told", async () => {
    const { ups, dialled } = await world({ classes: { prompt: 1, bulk: 2 } });
    dialled.onStream((stream) => stream.answer({ committed: true }));
    await dialled.ready(3000);
    assert.equal(dialled.forKind("policy")?.peer, "edge-smtp");
    // This edge is one version behind: it would cut the link over a kind it does not know.
    assert.equal(dialled.forKind("recipient"), undefined);
    const answer = dialled.forKind("policy")?.open("policy", {}, { end: {} }).answered;
    assert.deepEqual(await answer, { version: 1 });
    while (ups.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(ups.map((up) => up.linkClass).sort(), ["bulk", "bulk", "prompt"]);
    const prompt = ups.find((up) => up.linkClass === "prompt");
    const asked = prompt?.link.open("asked", { id: "x" });
    assert.deepEqual(await asked?.answered, { committed: true });
    await dialled[Symbol.asyncDispose]();
    assert.equal(dialled.forKind("policy"), undefined);
  });

  test("dials again after every cut, the first times fast", async () => {
    const { net, dialled } = await world();
    await dialled.ready(3000);
    const changes: string[] = [];
    dialled.onChange((linkClass, up) => void changes.push(`${linkClass} ${up}`));
    for (let round = 0; round < 3; round += 1) {
      net.cutAll();
      while (dialled.forKind("asked") !== undefined) await new Promise(setImmediate);
      const from = performance.now();
      await dialled.ready(5000);
      assert.ok(performance.now() - from < 3000);
    }
    assert.ok(changes.includes("prompt false") && changes.includes("bulk true"));
    await dialled[Symbol.asyncDispose]();
  });

  test("keeps nothing with an edge whose certificate is not the pinned one", async () => {
    const { dialled, ups } = await world({}, party("edge-smtp"));
    await assert.rejects(dialled.ready(300), /does not answer/);
    assert.equal(ups.length, 0);
    await dialled[Symbol.asyncDispose]();
  });

  test("waits between 0.1 and 15 s, longer while it fails", () => {
    const random = seededRandom(9);
    for (let failures = 0; failures < 100; failures += 1) {
      const delayMs = retryDelayMs(failures, random);
      assert.ok(delayMs >= 100 && delayMs <= 15_000);
      if (failures < 3) assert.ok(delayMs <= 400);
    }
    const always = { fraction: () => 0.999, bytes: random.bytes };
    assert.ok(retryDelayMs(20, always) > 14_000);
  });
});
