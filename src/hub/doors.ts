/** Every listener of the inside, and what stands behind each. */

import { rmSync } from "node:fs";
import { createSecureContext, createServer, type TLSSocket } from "node:tls";
import { createImapServer } from "#access/imap";
import { deliveryFigures } from "#assurance/measures";
import { openMetricsText } from "#base/measures";
import type { Endpoint, Listener } from "#base/net";
import type { Submit } from "#contracts/submission";
import type { AdminPorts } from "./admin.ts";
import type { Backups } from "./backups.ts";
import { adminApp, consoleApp, listenHttp } from "./console.ts";
import { consoleFacts } from "./console-facts.ts";
import type { Edges } from "./edges.ts";
import { resolverThroughEdge } from "./egress.ts";
import { type Inside, readText } from "./inside.ts";
import type { LedgerHistory } from "./ledger-history.ts";
import type { Maintenance } from "./maintenance.ts";
import type { Outgoing } from "./outgoing.ts";
import { type Probes, startProbes } from "./probes.ts";
import { submissionServer } from "./submission.ts";
import { type WebDoor, webService } from "./web-service.ts";

/** What goes on in the store by itself, and administrators may ask of. */
export interface Keeping {
  readonly maintenance: Maintenance;
  readonly history: LedgerHistory;
  readonly backups: Backups;
}

/** Opens all doors or none. */
export async function startDoors(
  inside: Inside,
  edges: Edges,
  outgoing: Outgoing,
  keeping: Keeping,
): Promise<AsyncDisposable> {
  await using opening = new AsyncDisposableStack();
  const { settings } = inside;
  const tls = { cert: readText(settings.tls.certificate), key: readText(settings.tls.key) };
  const web = webService(inside, outgoing.submit);
  edges.serveWeb(web.handle);
  opening.use(await imapDoor(inside, tls));
  opening.use(await submissionDoor(inside, tls, outgoing.submit));
  const probes = opening.use(startProbes(inside, edges));
  const more = { probes, web, ...keeping };
  for (const door of await administrationDoors(inside, edges, outgoing, more)) opening.use(door);
  return opening.move();
}

/** Sessions under way may end their message for so long. */
const drainMs = 20_000;

interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

function imapDoor(inside: Inside, tls: TlsFiles): Promise<Listener> {
  const { settings, clock, random, log, registry, store, directory } = inside;
  const imap = createImapServer({
    store,
    directory,
    clock,
    random,
    log,
    registry,
    limits: settings.imap,
    hostname: settings.hostname,
  });
  return tlsDoor(settings.listen.imap, tls, (socket, from) => imap.attach(socket, from));
}

async function submissionDoor(
  inside: Inside,
  tls: TlsFiles,
  submit: Submit,
): Promise<AsyncDisposable> {
  const { settings, clock, random, log, registry, directory } = inside;
  const { hostname, smtp: limits } = settings;
  const context = createSecureContext({ ...tls, minVersion: "TLSv1.2" });
  const server = submissionServer({
    options: { hostname, limits, tls: context, clock, random, log, registry },
    directory,
    submit,
  });
  await server.listen(settings.listen.submission);
  return { [Symbol.asyncDispose]: () => server.drain(drainMs) };
}

/** TLS from the first octet, 1.2 with AEAD or 1.3 (RFC 8314 §4.1). */
function tlsDoor(
  at: Endpoint,
  tls: TlsFiles,
  onSocket: (socket: TLSSocket, from: string) => void,
): Promise<Listener> {
  const server = createServer({
    ...tls,
    minVersion: "TLSv1.2",
    handshakeTimeout: 10_000,
    noDelay: true,
  });
  server.on("secureConnection", (socket) => {
    const from = (socket.remoteAddress ?? "").replace(/^::ffff:/, "");
    onSocket(socket, from);
  });
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: at.host, port: at.port, backlog: 1024 }, () => {
      server.removeListener("error", reject);
      resolve({
        endpoint: at,
        // Open sessions are ended by their protocol's own drain or with the process.
        [Symbol.asyncDispose]: async () => void server.close(),
      });
    });
  });
}

/** What administrators ask about or act on besides the store. */
interface Administered extends Keeping {
  readonly probes: Probes;
  readonly web: WebDoor;
}

async function administrationDoors(
  inside: Inside,
  edges: Edges,
  outgoing: Outgoing,
  { probes, web, maintenance, history, backups }: Administered,
): Promise<Listener[]> {
  const { settings, registry, storeMeasures, store, clock } = inside;
  const facts = consoleFacts(inside, edges, probes, backups);
  const ports: AdminPorts = {
    ...inside,
    resolver: resolverThroughEdge(() => edges.smtp.forKind("resolve"), clock),
    queued: outgoing.wake,
    erase: () => maintenance.erase(),
    history,
    backups,
    signOut(address) {
      const person = inside.directory.personByAddress(address);
      if (person !== undefined) web.signOut(person.id);
    },
    async metrics() {
      await storeMeasures.look(store, clock.nowMs());
      return openMetricsText(registry, edges.samples());
    },
    status: facts.status,
    figures: () => deliveryFigures([...registry.samples(), ...edges.samples()]),
  };
  const console_ = consoleApp({
    ...ports,
    token: readText(settings.consoleTokenFile).trim(),
    isReady: () => edges.isUp("edge-smtp") && edges.isUp("edge-web"),
    facts: facts.page,
  });
  // A socket file left behind by a kill is nobody's: the store's lock says we are the only hub.
  rmSync(settings.adminSocket, { force: true });
  const admin = adminApp(ports, readText(settings.adminSecretFile).trim());
  return [
    await listenHttp(console_, settings.listen.console),
    await listenHttp(admin, { path: settings.adminSocket }),
  ];
}
