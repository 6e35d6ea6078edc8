import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { describe, it } from "node:test";
import { connect, createSecureContext, TLSSocket } from "node:tls";
import { systemClock } from "#base/clock";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { duplexOn, type Link, type LinkStream, linkPair } from "#contracts/link";
import type { TcpRequest } from "#contracts/web";
import { publishTcp } from "#edge/tcp";
import { selfSigned } from "../../tests/kit/certificate.ts";

const context = createSecureContext({ ...selfSigned("imap.example") });

/** An inside that speaks TLS on whatever is passed to it, and echoes. */
function echoing(stream: LinkStream): void {
  const raw = duplexOn(stream);
  stream.answer({ ok: true });
  const secure = new TLSSocket(raw, { isServer: true, secureContext: context });
  secure.on("error", () => {});
  secure.pipe(secure);
}

async function openEdge(
  inside: (stream: LinkStream) => void,
  limits: Record<string, unknown> = {},
  up = true,
) {
  const [edgeEnd, hubEnd] = linkPair();
  const asked: TcpRequest[] = [];
  hubEnd.onStream((stream) => {
    asked.push(stream.header as TcpRequest);
    inside(stream);
  });
  const registry = new Registry();
  const published = await publishTcp(
    { listen: { imaps: { host: "127.0.0.1", port: 0 } }, limits },
    {
      links: { forKind: (): Link | undefined => (up ? edgeEnd : undefined) },
      clock: systemClock,
      log: silentLog,
      registry,
    },
  );
  const port = published.endpoints.get("imaps")?.port ?? 0;
  return {
    published,
    port,
    asked,
    registry,
    hubEnd,
    [Symbol.asyncDispose]: () => published[Symbol.asyncDispose](),
  };
}

function raw(port: number): Socket {
  const socket = connectTcp({ host: "127.0.0.1", port });
  socket.on("error", () => {});
  return socket;
}

function ends(registry: Registry): string[] {
  return registry
    .samples()
    .filter(({ name }) => name.includes("published_tcp"))
    .map(({ labels }) => labels?.["end"] ?? "");
}

describe("published mail clients' connections", () => {
  it("reach the inside's own TLS; the edge passes a megabyte both ways unread", async () => {
    await using edge = await openEdge(echoing);
    const client = connect({ host: "127.0.0.1", port: edge.port, rejectUnauthorized: false });
    await once(client, "secureConnect");
    assert.equal(client.getPeerCertificate().subject.CN, "imap.example");
    const sent = Buffer.alloc(1_000_000, "postern ");
    const parts: Buffer[] = [];
    let bytes = 0;
    const back = new Promise<void>((resolve) => {
      client.on("data", (chunk: Buffer) => {
        parts.push(chunk);
        bytes += chunk.length;
        if (bytes === sent.length) resolve();
      });
    });
    client.write(sent);
    await back;
    assert.ok(Buffer.concat(parts).equals(sent));
    client.destroy();
    const [ask] = edge.asked;
    assert.equal(ask?.service, "imaps");
    assert.equal(ask.clientAddress, "127.0.0.1");
    assert.equal(ask.clientPort > 0, true);
  });

  it("that do not begin with a TLS handshake never reach the inside", async () => {
    await using edge = await openEdge(echoing);
    for (const hostile of ["a1 LOGIN ana secret\r\n", "GET / HTTP/1.1\r\n\r\n", "\0\0\0\0"]) {
      const client = raw(edge.port);
      client.write(hostile);
      await once(client, "close");
    }
    assert.equal(edge.asked.length, 0);
    assert.deepEqual(ends(edge.registry), ["not-tls"]);
  });

  it("that say nothing are closed in time, those beyond the cap at once", async () => {
    await using edge = await openEdge(echoing, { helloTimeoutMs: 1000, connectionsPerAddress: 4 });
    const silent = Array.from({ length: 5 }, () => raw(edge.port));
    await Promise.all(silent.map((one) => once(one.resume(), "close")));
    assert.deepEqual(ends(edge.registry).sort(), ["full-owner", "silent"]);
    // The places are free again.
    const client = connect({ host: "127.0.0.1", port: edge.port, rejectUnauthorized: false });
    await once(client, "secureConnect");
    client.destroy();
  });

  it("end when the inside refuses the service, when there is no link, and when it breaks", async () => {
    const hello = Buffer.from("160301", "hex");
    await using refusing = await openEdge((stream) => {
      stream.answer({ ok: false, why: "not served" });
      stream.end();
    });
    await using alone = await openEdge(echoing, {}, false);
    await using breaking = await openEdge((stream) => {
      stream.receive({ data() {}, end() {}, broken() {} });
      stream.answer({ ok: true });
    });
    for (const edge of [refusing, alone, breaking]) {
      const client = raw(edge.port);
      const closed = once(client.resume(), "close");
      client.write(hello);
      if (edge === breaking) {
        while (edge.asked.length === 0) await new Promise((resolve) => void setTimeout(resolve, 5));
        edge.hubEnd.close("test");
      }
      await closed;
    }
    assert.deepEqual(ends(refusing.registry), ["not-served"]);
    assert.deepEqual(ends(alone.registry), ["link-down"]);
  });
});
