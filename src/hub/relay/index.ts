/** Opens the doors for mail servers inside: relay, for mail that leaves, and LMTP, for mailboxes here. */

import { chmodSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { Certify } from "#edge/certify";
import type { SmtpServer } from "#transport/smtp-server";
import type { Edges } from "../edges.ts";
import { resolverThroughEdge } from "../egress.ts";
import type { Inside } from "../inside.ts";
import type { Outgoing } from "../outgoing.ts";
import { partnerLogins } from "../partner-login.ts";
import { lmtpServer } from "./lmtp.ts";
import { type DoorPeers, doorPeers } from "./peers.ts";
import { relayServer } from "./relay.ts";
import type { LmtpDoor } from "./settings.ts";

export interface InsideDoorPorts {
  readonly inside: Inside;
  readonly edges: Edges;
  readonly outgoing: Pick<Outgoing, "send">;
  readonly certify: Certify;
}

/** Sessions under way may end their message for so long. */
const drainMs = 20_000;

/** Those that are configured; disposing lets messages under way end. */
export async function openInsideDoors(ports: InsideDoorPorts): Promise<AsyncDisposable> {
  const { inside, edges, outgoing } = ports;
  const { settings, clock } = inside;
  const { hostname, smtp: limits, listen } = settings;
  const options = { ...inside, hostname, postmasterDomain: settings.domain, limits };
  await using opening = new AsyncDisposableStack();
  if (listen.relay !== undefined) {
    const peers = peersOf("relay", ports);
    const server = relayServer({ ...inside, options, peers, send: outgoing.send });
    opening.defer(() => server.drain(drainMs));
    await server.listen(listen.relay);
  }
  if (listen.lmtp !== undefined) {
    const { query } = resolverThroughEdge(() => edges.smtp.forKind("resolve"), clock);
    const server = lmtpServer({
      ...inside,
      options,
      ...(!("path" in listen.lmtp) && { peers: peersOf("lmtp", ports) }),
      inbound: edges.inbound,
      identity: settings.identity,
      resolver: { query, cached: () => undefined },
    });
    opening.defer(() => server.drain(drainMs));
    opening.use(await listenLmtp(server, listen.lmtp));
  }
  return opening.move();
}

function peersOf(door: "relay" | "lmtp", { inside, certify }: InsideDoorPorts): DoorPeers {
  const { directory: limits, inbound: connectors } = inside.settings;
  const logins = partnerLogins({ ...inside, connectors, limits, door });
  return doorPeers({ ...inside, door, connectors, logins, certify });
}

async function listenLmtp(server: SmtpServer, at: LmtpDoor): Promise<AsyncDisposable> {
  if (!("path" in at)) return await server.listen(at);
  // A socket file left behind by a kill is nobody's: the store's lock says we are the only hub.
  rmSync(at.path, { force: true });
  const listener = createServer((socket) => {
    server.attach(socket, { host: "127.0.0.1", port: 0 });
  });
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject).listen(at.path, resolve);
  });
  // A connection that cannot be accepted (no descriptor is left) is the client's loss alone.
  listener.on("error", () => {});
  // Its folder says who may come so far.
  chmodSync(at.path, 0o666);
  return { [Symbol.asyncDispose]: () => new Promise((done) => void listener.close(() => done())) };
}
