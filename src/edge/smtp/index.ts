/** The mail edge put together: port 25 in front, the link behind, and what waits between them. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#base/clock";
import { realDisk } from "#base/disk";
import { createResolver, type Resolver, resolverSettings } from "#base/dns";
import { Misconfigured } from "#base/errors";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import { type Endpoint, type Net, systemNet } from "#base/net";
import type { Random } from "#base/random";
import { parseFingerprint } from "#contracts/link";
import { type Certify, createCertify } from "#edge/certify";
import { acceptLinks, type EdgeLinks, pushSamples } from "#edge/link";
import { openWitness, type Witness } from "#edge/witness";
import { type NoteKey, parseNoteKey } from "#formats/checkpoint";
import { replayCounter } from "#identity/replay";
import { createSmtpServer, type SmtpServer } from "#transport/smtp-server";
import { type Guard, openGuard } from "./abuse/guard.ts";
import { type EdgeConnectors, edgeConnectors } from "./connectors.ts";
import { createDepositor } from "./deposit.ts";
import { egress } from "./egress.ts";
import { type EdgeEvents, edgeEvents } from "./events.ts";
import { inbound } from "./inbound.ts";
import { openPolicy, type PolicyHolder } from "./policy.ts";
import { recipientQuestions } from "./recipient-questions.ts";
import { batchRefusals } from "./refusals.ts";
import { serveInside } from "./serve.ts";
import { type EdgeSmtpSettings, snapshotFile, spoolFolder } from "./settings.ts";
import {
  openSpool,
  openSpoolFiles,
  prepareSpool,
  type SealedSpool,
  sealedSpool,
} from "./spool/index.ts";

export { checkAbuse } from "./abuse/check.ts";
export { abuseParameters } from "./abuse/parameters.ts";
export { edgeSmtpParameters } from "./parameters.ts";
export type { EdgeSmtpSettings } from "./settings.ts";

export interface EdgeSmtpDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly registry: Registry;
  readonly net?: Net;
  readonly resolver?: Resolver;
}

/** Disposing takes no new mail, and gives messages under way some time to end. */
export interface EdgeSmtp extends AsyncDisposable {
  readonly smtp: Endpoint;
  readonly link: Endpoint;
}

/** The program has 30 s in all to stop. */
const drainMs = 25_000;

const segmentBytes = 16 * 1024 * 1024;

/** Makes the spool's segments, durably; called by whoever starts the edge, outside of its fence. */
export async function prepareEdgeSpool(settings: EdgeSmtpSettings): Promise<void> {
  if (settings.spool !== "sealed") return;
  // Two at least: one is written while another waits to be emptied.
  const segments = Math.max(2, Math.ceil((settings.spoolMib * 1024 * 1024) / segmentBytes));
  await prepareSpool(realDisk, join(settings.folder, spoolFolder), segments, segmentBytes);
}

/**
 * @throws Misconfigured when a file is missing or is not what it should be
 */
export async function startEdgeSmtp(
  settings: EdgeSmtpSettings,
  deps: EdgeSmtpDeps,
): Promise<EdgeSmtp> {
  const { clock, random, registry, log } = deps;
  const events = edgeEvents(log, registry);
  const policy = await openPolicy(join(settings.folder, snapshotFile), settings.policyPublicKey);
  const resolver = deps.resolver ?? resolverOf(settings, deps);
  const witness = await witnessOf(settings, policy, clock).catch((error: unknown) => {
    events.witnessed("failed", error);
    return undefined;
  });
  const certify = certifyOf(settings, deps);
  const links = await linksOf(settings, deps);
  const spool = await spoolOf(settings, { policy, links, clock, events });
  const limits = settings.edge;
  const depositor = createDepositor({ links, clock, events, limits, ...(spool && { spool }) });
  const guard = await openGuard(settings, deps, { policy, resolver, depositor });
  const refusals = batchRefusals(links, clock, limits.refusalsKept);
  const dial = egressOf(settings, deps, events);
  const kept = { ...(witness && { witness }), ...(certify && { certify }) };
  links.onStream(serveInside({ policy, resolver, events, dial, ...kept }));
  const connectors = edgeConnectors({ policy, links, clock, random, ...(certify && { certify }) });
  const handler = inbound({
    hostname: settings.hostname,
    receivedLimit: limits.receivedLimit,
    replayLimit: limits.replayLimit,
    replays: replayCounter(clock),
    policy,
    questions: recipientQuestions(links, clock),
    connectors,
    abuse: guard.abuse,
    overload: guard.overload,
    depositor,
    refusals,
    resolver,
    events,
    clock,
    random,
  });
  const server = serverOf(settings, deps, { certify, guard, connectors }, handler);
  const listener = await server.listen(settings.listen);
  const stopSamples = pushSamples(registry, links, clock, limits.samplesEveryMs);
  if (spool !== undefined) void spool.drain();

  return {
    smtp: listener.endpoint,
    link: links.endpoint,
    async [Symbol.asyncDispose]() {
      await server.drain(drainMs);
      refusals.flush();
      stopSamples();
      await guard[Symbol.asyncDispose]();
      await spool?.close();
      await links[Symbol.asyncDispose]();
      await witness?.close();
    },
  };
}

function egressOf(
  { egressPorts, egressPrivate, edge }: EdgeSmtpSettings,
  { net = systemNet }: EdgeSmtpDeps,
  events: EdgeEvents,
): ReturnType<typeof egress> {
  return egress({
    net,
    events,
    ports: egressPorts,
    mayDialPrivate: egressPrivate,
    connections: edge.egressConnections,
  });
}

function witnessOf(
  { folder, hostname }: EdgeSmtpSettings,
  policy: PolicyHolder,
  clock: Clock,
): Promise<Witness> {
  const logKeys = (): readonly NoteKey[] =>
    (policy.current?.logKeys ?? []).flatMap((line) => {
      const read = parseNoteKey(line);
      return read.ok ? [read.value] : [];
    });
  return openWitness({ folder, name: `${hostname}/witness`, logKeys, clock });
}

function certifyOf(
  { tls }: EdgeSmtpSettings,
  { clock, random, log }: EdgeSmtpDeps,
): Certify | undefined {
  if (tls === undefined) return undefined;
  return createCertify({ certFile: tls.certificate, keyFile: tls.key, clock, random, log });
}

interface ServerNeeds {
  readonly certify: Certify | undefined;
  readonly guard: Guard;
  readonly connectors: EdgeConnectors;
}

function serverOf(
  settings: EdgeSmtpSettings,
  { clock, random, log, registry, net }: EdgeSmtpDeps,
  { certify, guard, connectors }: ServerNeeds,
  handler: Parameters<typeof createSmtpServer>[1],
): SmtpServer {
  return createSmtpServer(
    {
      listener: "smtp",
      hostname: settings.hostname,
      ...(certify && connectors.tls && { tls: connectors.tls }),
      peers: connectors,
      sasl: connectors,
      implicitTls: false,
      limits: settings.smtp,
      tarpit: guard.tarpit,
      proxyTrusted: settings.proxyTrusted ?? [],
      clock,
      random,
      log,
      registry,
      ...(net && { net }),
    },
    handler,
  );
}

function linksOf(settings: EdgeSmtpSettings, deps: EdgeSmtpDeps): Promise<EdgeLinks> {
  const { link } = settings;
  const pins = [link.hubFingerprint].flat().map((text) => {
    const pin = parseFingerprint(text);
    if (pin === undefined) throw new Misconfigured("link.hubFingerprint is not a SHA-256");
    return pin;
  });
  return acceptLinks({
    listen: link.listen,
    certificatePem: fileOf(link.certificate),
    keyPem: fileOf(link.key),
    caPem: fileOf(link.authority),
    pinnedPeers: pins,
    clock: deps.clock,
    log: deps.log,
    random: deps.random,
    ...(deps.net && { net: deps.net }),
  });
}

function resolverOf(settings: EdgeSmtpSettings, { clock, random }: EdgeSmtpDeps): Resolver {
  return createResolver({ ...resolverSettings(settings.dns), clock, random });
}

interface SpoolNeeds {
  readonly policy: PolicyHolder;
  readonly links: EdgeLinks;
  readonly clock: Clock;
  readonly events: EdgeEvents;
}

async function spoolOf(
  settings: EdgeSmtpSettings,
  { policy, links, clock, events }: SpoolNeeds,
): Promise<SealedSpool | undefined> {
  if (settings.spool !== "sealed") return undefined;
  const folder = join(settings.folder, spoolFolder);
  const files = await openSpoolFiles(folder).catch((error: unknown) => {
    throw new Misconfigured(`${folder}: no spool was prepared`, { cause: error });
  });
  if (files.length === 0) throw new Misconfigured(`${folder}: no spool was prepared`);
  return sealedSpool({
    spool: await openSpool(files),
    links,
    clock,
    sealTo: () => policy.current?.sealTo,
    onDrained: (id, outcome) => events.drained(id, outcome),
  });
}

function fileOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new Misconfigured(`cannot read ${path}`, { cause: error });
  }
}
