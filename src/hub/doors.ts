/** Every listener of the inside, and what stands behind each. */

import { rmSync } from "node:fs";
import { deliveryFigures } from "#assurance/measures";
import { openMetricsText } from "#base/measures";
import type { Listener } from "#base/net";
import { type Certify, createCertify } from "#edge/certify";
import type { AdminPorts } from "./admin.ts";
import type { Backups } from "./backups.ts";
import {
  type CertificatePorts,
  type Certificates,
  startCertificates,
} from "./certificates/index.ts";
import { openClientDoors } from "./client-doors.ts";
import { watchSecrets } from "./connectors/index.ts";
import { adminApp, consoleApp, listenHttp } from "./console.ts";
import { consoleFacts } from "./console-facts.ts";
import type { Edges } from "./edges.ts";
import { dialThroughEdge, resolverThroughEdge } from "./egress.ts";
import { type Inside, readText } from "./inside.ts";
import type { LedgerHistory } from "./ledger-history.ts";
import { openLocalDoor } from "./local-door.ts";
import type { Maintenance } from "./maintenance.ts";
import { provableHosts } from "./mta-sts.ts";
import type { Outgoing } from "./outgoing.ts";
import { type Probes, startProbes } from "./probes.ts";
import { ownDomains } from "./publishing.ts";
import { openInsideDoors } from "./relay/index.ts";
import { type SignIn, startSignIn } from "./sign-in.ts";
import { webService } from "./web-service.ts";

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
  const { certificate: certFile, key: keyFile } = settings.tls;
  const tls = createCertify({ ...inside, certFile, keyFile });
  const certificates = opening.use(certificatesOf(inside, edges, tls));
  const signIn = startSignIn(inside, edges);
  const web = opening.use(webService(inside, outgoing.submit, signIn));
  const clients = opening.use(await openClientDoors(inside, tls, outgoing.submit, signIn.sessions));
  edges.serveWeb((stream) => (stream.kind === "tcp" ? clients : web).handle(stream));
  opening.use(await openInsideDoors({ inside, edges, outgoing, certify: tls }));
  opening.use(await openLocalDoor({ inside, outgoing }));
  const probes = opening.use(startProbes(inside, edges));
  opening.use(watchSecrets(inside));
  const more = { probes, signIn, certificates, ...keeping };
  for (const door of await administrationDoors(inside, edges, outgoing, more)) opening.use(door);
  return opening.move();
}

/** The way to an authority leads through the mail edge, like all that leaves. */
function certificatesOf(inside: Inside, edges: Edges, own: Certify): Certificates {
  const { settings, clock } = inside;
  return startCertificates({
    ...inside,
    settings: settings.certificates,
    folder: settings.folder,
    own,
    links: {
      "edge-web": () => edges.web.forKind("certify"),
      "edge-smtp": () => edges.smtp.forKind("certify"),
    },
    dial: (to) => dialThroughEdge(edges.smtp.forKind("dial"), to, acmeDialMs, clock),
    ...(!settings.certificates.areNamesGiven && { policyHosts: policyHosts(inside, edges) }),
  });
}

function policyHosts(
  { settings, directory, clock }: Inside,
  edges: Edges,
): NonNullable<CertificatePorts["policyHosts"]> {
  const resolver = resolverThroughEdge(() => edges.smtp.forKind("resolve"), clock);
  return (before: readonly string[]) =>
    provableHosts(ownDomains(directory), settings.hostname, resolver, before);
}

const acmeDialMs = 30_000;

/** What administrators ask about or act on besides the store. */
interface Administered extends Keeping {
  readonly probes: Probes;
  readonly signIn: SignIn;
  readonly certificates: Certificates;
}

async function administrationDoors(
  inside: Inside,
  edges: Edges,
  outgoing: Outgoing,
  { probes, signIn, certificates, maintenance, history, backups }: Administered,
): Promise<Listener[]> {
  const { settings, registry, storeMeasures, store, clock } = inside;
  const facts = consoleFacts(inside, edges, probes, { backups, certificates });
  const ports: AdminPorts = {
    ...inside,
    resolver: resolverThroughEdge(() => edges.smtp.forKind("resolve"), clock),
    lookNow: outgoing.lookNow,
    explain: outgoing.explain,
    connectors: outgoing.connectors,
    tlsTo: outgoing.tlsTo,
    erase: () => maintenance.erase(),
    history,
    backups,
    certificates,
    signOut(address) {
      const person = inside.directory.personByAddress(address);
      if (person !== undefined) signIn.signOut(person.id);
    },
    signIn,
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
