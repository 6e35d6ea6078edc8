/** The edge's end of the link: waits for the inside to dial, and never dials inward itself. */

import { readFileSync } from "node:fs";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Clock } from "#base/clock";
import { Misconfigured } from "#base/errors";
import type { Log } from "#base/log";
import { type Endpoint, type Net, systemNet } from "#base/net";
import { type Random, systemRandom } from "#base/random";
import {
  exchangeHello,
  type Fingerprint,
  LinkSet,
  type Links,
  linkProtocol,
  linkVersion,
  type MuxOptions,
  muxOver,
  parseFingerprint,
  pinnedName,
} from "#contracts/link";

export { pushSamples } from "./link/samples.ts";

export interface AcceptOptions {
  readonly listen: Endpoint;
  readonly certificatePem: string;
  readonly keyPem: string;
  /** The private authority of the links, used for nothing else. */
  readonly caPem: string;
  /** Certificates of the inside that may dial. */
  readonly pinnedPeers: readonly Fingerprint[];
  readonly clock: Clock;
  readonly log: Log;
  readonly net?: Net;
  readonly random?: Random;
  readonly mux?: Partial<MuxOptions>;
}

export interface EdgeLinks extends Links, AsyncDisposable {
  readonly endpoint: Endpoint;
}

/** TLS handshake and hello together; whoever connects without a certificate is gone by then. */
const helloWithinMs = 5000;
/** Connections at once, those in their handshake included: others in the DMZ can reach the port. */
const maxConnections = 64;
/** Links held at once, of all classes. */
const maxLinks = 16;

export async function acceptLinks(options: AcceptOptions): Promise<EdgeLinks> {
  const { clock, log } = options;
  const links = new LinkSet();
  const nonce = (options.random ?? systemRandom).bytes(16).toString("hex");
  let connections = 0;
  let held = 0;

  const server = serverOf(options);
  server.on("tlsClientError", (error, socket) => {
    log.write("warn", "link.handshake-refused", { because: error.message });
    socket.destroy(); // a handshake that is late is only reported by Node
  });
  server.on("secureConnection", (socket: TLSSocket) => {
    socket.on("error", () => {});
    const peer = pinnedName(socket, options.pinnedPeers);
    if (peer === undefined || socket.alpnProtocol !== linkProtocol || held >= maxLinks) {
      log.write("warn", "link.peer-refused", { pinned: peer !== undefined, held });
      socket.destroy();
      return;
    }
    void greet(socket, peer);
  });

  async function greet(socket: TLSSocket, peer: string): Promise<void> {
    held += 1;
    try {
      // The class is the dialler's choice; our word for it in return is not looked at.
      const own = { version: linkVersion, linkClass: "prompt", nonce } as const;
      const hello = await exchangeHello(socket, own, clock, helloWithinMs);
      const { version, linkClass } = hello;
      const link = muxOver(socket, "opener-even", { peer, version, clock, ...options.mux });
      log.write("info", "link.up", { peer, linkClass, version });
      links.add(hello.linkClass, link);
      const why = await link.closed;
      log.write("info", "link.down", { peer, linkClass: hello.linkClass, because: why });
    } catch (error) {
      log.write("warn", "link.hello-failed", { peer, because: String(error) });
    } finally {
      held -= 1;
    }
  }

  const listener = await (options.net ?? systemNet).listen(options.listen, (stream) => {
    stream.on("error", () => {});
    if (connections >= maxConnections) {
      stream.destroy();
      return;
    }
    connections += 1;
    stream.once("close", () => (connections -= 1));
    server.emit("connection", stream);
  });

  return {
    endpoint: listener.endpoint,
    forKind: (kind) => links.forKind(kind),
    onStream: (handler) => links.onStream(handler),
    onChange: (heard) => links.onChange(heard),
    async [Symbol.asyncDispose]() {
      links.closeAll("edge stops");
      await listener[Symbol.asyncDispose]();
    },
  };
}

/** Where the files of an edge's link are, and who may dial. */
export interface LinkSettings {
  readonly listen: Endpoint;
  /** PEM files. */
  readonly certificate: string;
  readonly key: string;
  readonly authority: string;
  /** SHA-256 of the certificate that the inside dials with; several while it is renewed. */
  readonly hubFingerprint: string | readonly string[];
}

/** @throws Misconfigured when a file is missing or a fingerprint is none */
export function openLinks(
  settings: LinkSettings,
  deps: Pick<AcceptOptions, "clock" | "log" | "net" | "random">,
): Promise<EdgeLinks> {
  const pinnedPeers = [settings.hubFingerprint].flat().map((text) => {
    const pin = parseFingerprint(text);
    if (pin === undefined) throw new Misconfigured("link.hubFingerprint is not a SHA-256");
    return pin;
  });
  return acceptLinks({
    ...deps,
    listen: settings.listen,
    certificatePem: fileOf(settings.certificate),
    keyPem: fileOf(settings.key),
    caPem: fileOf(settings.authority),
    pinnedPeers,
  });
}

function fileOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new Misconfigured(`${path}: cannot be read`, { cause: error });
  }
}

function serverOf(options: AcceptOptions): Server {
  return createServer({
    cert: options.certificatePem,
    key: options.keyPem,
    ca: options.caPem,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: "TLSv1.3",
    ALPNProtocols: [linkProtocol],
    handshakeTimeout: helloWithinMs,
  });
}
