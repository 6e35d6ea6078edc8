import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { describe, test } from "node:test";
import tls from "node:tls";
import { systemClock } from "#base/clock";
import { silentLog } from "#base/log";
import { exchangeHello, type LinkClass, linkVersion, muxOver } from "#contracts/link";
import { type AcceptOptions, acceptLinks, type EdgeLinks } from "#edge/link";
import { type Party, party } from "../../tests/kit/certificate.ts";

const edge = party("edge-smtp");
const hub = party("hub");
const stranger = party("hub");
/** Both are trusted by the authority: only the pin tells them apart. */
const ca = edge.pem + hub.pem + stranger.pem;

function accepting(change: Partial<AcceptOptions> = {}): Promise<EdgeLinks> {
  return acceptLinks({
    listen: { host: "127.0.0.1", port: 0 },
    certificatePem: edge.pem,
    keyPem: edge.pem,
    caPem: ca,
    pinnedPeers: [hub.pin],
    clock: systemClock,
    log: silentLog,
    ...change,
  });
}

function dial(links: EdgeLinks, options: tls.ConnectionOptions): tls.TLSSocket {
  const socket = tls.connect({
    host: links.endpoint.host,
    port: links.endpoint.port,
    ca,
    ALPNProtocols: ["postern-link/1"],
    checkServerIdentity: () => undefined,
    ...options,
  });
  socket.on("error", () => {});
  return socket;
}

function closed(socket: tls.TLSSocket): Promise<unknown> {
  return new Promise((resolve) => socket.once("close", resolve));
}

async function linkAs(links: EdgeLinks, who: Party, linkClass: LinkClass, version = linkVersion) {
  const socket = dial(links, { cert: who.pem, key: who.pem });
  await once(socket, "secureConnect");
  const hello = { version, linkClass, nonce: "0".repeat(32) };
  await exchangeHello(socket, hello, systemClock, 2000);
  return muxOver(socket, "opener-odd", { peer: "edge" });
}

describe("acceptLinks()", () => {
  test("gives each kind the link of its class", async () => {
    await using links = await accepting();
    assert.equal(links.forKind("login"), undefined);
    const prompt = await linkAs(links, hub, "prompt");
    prompt.onStream((stream) => stream.answer("prompt"));
    const login = links.forKind("login");
    assert.equal(login?.peer, "hub");
    assert.equal(await login?.open("login", {}).answered, "prompt");
    assert.equal(links.forKind("deposit"), undefined);

    const changes: string[] = [];
    links.onChange((linkClass, up) => void changes.push(`${linkClass} ${up}`));
    const bulk = await linkAs(links, hub, "bulk");
    bulk.onStream((stream) => stream.answer("bulk"));
    const deposit = links.forKind("deposit")?.open("deposit", {}, { end: {} });
    assert.equal(await deposit?.answered, "bulk");
    const gone = links.forKind("deposit")?.closed;
    bulk.close("enough");
    await gone;
    await Promise.resolve();
    assert.deepEqual(changes, ["bulk true", "bulk false"]);
    assert.equal(links.forKind("deposit"), undefined);
  });

  test("aborts a stream that comes on the wrong class of link", async () => {
    await using links = await accepting();
    links.onStream((stream) => stream.answer("served"));
    const bulk = await linkAs(links, hub, "bulk");
    await assert.rejects(bulk.open("resolve", {}).answered, /wrong class/);
    assert.equal(await bulk.open("dial", {}).answered, "served");
  });

  test("gives no stream of a kind to a peer that is too old for it", async () => {
    await using links = await accepting();
    for (const [version, carries] of [
      [linkVersion - 1, false],
      [linkVersion, true],
    ] as const) {
      const link = await linkAs(links, hub, "prompt", version);
      link.onStream((stream) => stream.answer({}));
      assert.equal(links.forKind("login")?.version, version);
      assert.equal(links.forKind("recipient") !== undefined, carries);
      const gone = links.forKind("login")?.closed;
      link.close("enough");
      await gone;
    }
  });

  const refused: readonly (readonly [string, tls.ConnectionOptions])[] = [
    ["without a certificate", {}],
    [
      "with a certificate that is trusted but not pinned",
      { cert: stranger.pem, key: stranger.pem },
    ],
    ["with TLS 1.2", { cert: hub.pem, key: hub.pem, maxVersion: "TLSv1.2" }],
    ["with another protocol", { cert: hub.pem, key: hub.pem, ALPNProtocols: ["h2"] }],
    ["without a protocol", { cert: hub.pem, key: hub.pem, ALPNProtocols: [] }],
  ];
  for (const [name, options] of refused) {
    test(`refuses a dialler ${name}`, async () => {
      await using links = await accepting();
      const socket = dial(links, options);
      await closed(socket);
      assert.equal(links.forKind("login"), undefined);
    });
  }

  test("a hundred diallers that fail leave room for the honest one", async () => {
    await using links = await accepting();
    for (let round = 0; round < 10; round += 1) {
      const sockets = Array.from({ length: 10 }, () => dial(links, {}));
      await Promise.all(sockets.map(closed));
    }
    const prompt = await linkAs(links, hub, "prompt");
    assert.ok(links.forKind("login"));
    prompt.close("done");
  });

  test("and so do as many that say nothing, once their time is over", async () => {
    await using links = await accepting();
    const { host, port } = links.endpoint;
    const silent = Array.from({ length: 64 }, () =>
      net
        .connect({ host, port })
        .on("error", () => {})
        .resume(),
    );
    await Promise.all(silent.map((socket) => once(socket, "close")));
    const prompt = await linkAs(links, hub, "prompt");
    prompt.close("done");
  });
});
