/** The links to the edges: dialled from here, kept up, and what each edge may ask is served. */

import { Unavailable } from "#base/errors";
import { TokenBucket } from "#base/limits";
import type { Sample } from "#base/measures";
import type { LinkStream } from "#contracts/link";
import type { SealPrivateKeys } from "#contracts/sealed";
import { type DialledEdge, dialEdge } from "#hub/links";
import { confirmDelivery } from "./confirmations.ts";
import { answerAsked, type InboundPorts, misshapen, takeDeposit, takeSealed } from "./inbound.ts";
import { type Inside, readText } from "./inside.ts";
import { createJudge } from "./judge.ts";
import { commitOwn } from "./outgoing.ts";
import { answerLogin, partnerLogins } from "./partner-login.ts";
import { policyPusher } from "./policy-pusher.ts";
import { ownDomains, webPolicyPusher } from "./publishing.ts";
import { type RefusalReasons, refusalReasons } from "./refusal-reasons.ts";
import { readAskedRecipient, readRefusals, readSamples } from "./schemas.ts";
import type { EdgePeer } from "./settings.ts";
import type { PolicyPusher } from "./signed-push.ts";

export interface Edges extends AsyncDisposable {
  /** What takes deposits of edges in; other doors of the inside use it, too. */
  readonly inbound: InboundPorts;
  readonly smtp: DialledEdge;
  readonly web: DialledEdge;
  isUp(name: EdgePeer["name"]): boolean;
  /** Tells the mail edge what changed otherwise than in the directory. */
  pushPolicy(): Promise<void>;
  /** Newest samples of the edges' own counters. */
  samples(): readonly Sample[];
  /** Who takes login, logout and web streams; set once when the web service is there. */
  serveWeb(handle: (stream: LinkStream) => void): void;
  /** Called when a message was queued by a deposit (an alias that leads elsewhere). */
  onQueued(listener: () => void): void;
}

/** Refusals that the trace keeps. */
const refusalsPerSecond = 5;
const refusalsAtOnce = 1000;
const sealedOverheadBytes = 1024 * 1024;

export function startEdges(inside: Inside, announce: (word: string) => void): Edges {
  const dialled = new Map<EdgePeer["name"], DialledEdge>();
  const up = new Set<EdgePeer["name"]>();
  const samples = new Map<EdgePeer["name"], readonly Sample[]>();
  let web: (stream: LinkStream) => void = (stream) => stream.abort("not served yet");
  let queued: () => void = () => {};
  const policy = policyPusher(inside, () => dialled.get("edge-smtp")?.forKind("policy"));
  const webPolicy = webPolicyPusher(inside, () => dialled.get("edge-web")?.forKind("policy"));
  const inbound = inboundPorts(inside, () => queued());
  for (const peer of inside.settings.link.edges) {
    const edge = dial(inside, peer);
    dialled.set(peer.name, edge);
    edge.onStream(serving(peer.name, { inside, inbound, samples, web: () => web }));
    edge.onChange((linkClass, isUp) => {
      if (linkClass !== "prompt") return;
      if (!isUp) {
        up.delete(peer.name);
        return inside.events.linkDown(peer.name, "no connection of this class is left");
      }
      up.add(peer.name);
      inside.events.linkUp(peer.name, up.size);
      const first = peer.name === "edge-smtp" ? policy.push() : webPolicy.push();
      void first.then(() => announce(`linked ${peer.name}`));
    });
  }
  const unsubscribe = followDirectory(inside, policy, webPolicy);
  return {
    inbound,
    smtp: dialled.get("edge-smtp") ?? noEdge,
    web: dialled.get("edge-web") ?? noEdge,
    isUp: (name) => up.has(name),
    pushPolicy: () => policy.push(),
    samples: () => [...samples.values()].flat(),
    serveWeb(handle) {
      web = handle;
    },
    onQueued(listener) {
      queued = listener;
    },
    async [Symbol.asyncDispose]() {
      unsubscribe();
      await Promise.all([...dialled.values()].map((edge) => edge[Symbol.asyncDispose]()));
    },
  };
}

/** The mail edge knows addresses, the web edge domains alone. */
function followDirectory(
  { directory }: Inside,
  policy: PolicyPusher,
  webPolicy: PolicyPusher,
): () => void {
  let domains = ownDomains(directory).join();
  return directory.onChange(() => {
    void policy.push();
    const now = ownDomains(directory).join();
    if (now !== domains) void webPolicy.push();
    domains = now;
  });
}

function inboundPorts(inside: Inside, queued: () => void): InboundPorts {
  const { inbound: connectors } = inside.settings;
  return {
    ...inside,
    connectors,
    underWay: new Map(),
    reasons: refusalReasons(),
    judge: createJudge({
      ...inside,
      connectors,
      settings: inside.settings.judging,
      contacts: inside.store.contacts,
      authservId: inside.settings.hostname,
    }),
    // Two of the largest at a time, with what sealing adds.
    sealedRoom: {
      heldBytes: 0,
      maxBytes: 2 * (inside.settings.smtp.maxMessageBytes + sealedOverheadBytes),
    },
    ...sealingOf(inside),
    authservId: inside.settings.hostname,
    queued,
    accepted: (acceptance) =>
      confirmDelivery(acceptance, {
        ...inside,
        commit: (own) => commitOwn(own, Buffer.alloc(0), inside),
        queued,
      }),
  };
}

function sealingOf({ settings, keyring, clock }: Inside): Pick<InboundPorts, "sealing"> {
  const { arcSeal, domain, hostname: authservId } = settings;
  return arcSeal ? { sealing: { keyring, clock, domain, authservId } } : {};
}

/** Stands for an edge that is not enrolled (yet): its link is down. */
const noEdge: DialledEdge = {
  forKind: () => undefined,
  onStream() {},
  onChange: () => () => {},
  ready: () => Promise.reject(new Unavailable("no edge is enrolled")),
  hurry() {},
  async [Symbol.asyncDispose]() {},
};

function dial({ settings, clock, log }: Inside, peer: EdgePeer): DialledEdge {
  return dialEdge({
    endpoint: peer.endpoint,
    certificatePem: readText(settings.link.certificate),
    keyPem: readText(settings.link.key),
    caPem: readText(settings.link.authority),
    pinnedPeers: [peer.fingerprint],
    clock,
    log,
  });
}

interface Serving {
  readonly inside: Inside;
  readonly inbound: InboundPorts;
  readonly samples: Map<EdgePeer["name"], readonly Sample[]>;
  readonly web: () => (stream: LinkStream) => void;
}

/** Each edge may ask only for what its door is for: the web edge cannot hand in mail. */
function serving(
  name: EdgePeer["name"],
  { inside, inbound, samples, web }: Serving,
): (stream: LinkStream) => void {
  const keepSamples = (stream: LinkStream): void => {
    const read = readSamples(stream.header);
    if (!read.ok) return misshapen(stream, name, inside.events);
    const labelled = read.value.samples.map((one) => ({
      ...one,
      labels: { ...one.labels, program: name },
    }));
    samples.set(name, labelled);
  };
  if (name === "edge-web") {
    return (stream) => (stream.kind === "samples" ? keepSamples(stream) : web()(stream));
  }
  const keepRefusals = refusalKeeper(inside, inbound.reasons);
  const { directory: limits, inbound: connectors } = inside.settings;
  const logins = partnerLogins({ ...inside, connectors, limits, door: "edge" });
  const keys = JSON.parse(readText(inside.settings.sealKeys)) as { privateKeys: SealPrivateKeys };
  return (stream) => {
    switch (stream.kind) {
      case "deposit":
        return takeDeposit(stream, inbound);
      case "sealed":
        return takeSealed(stream, keys.privateKeys, inbound);
      case "asked":
        return answerAsked(stream, inbound);
      case "recipient":
        return answerRecipient(stream, inside);
      case "authenticate":
        return answerLogin(stream, logins, () => misshapen(stream, name, inside.events));
      case "refused":
        return keepRefusals(stream);
      case "samples":
        return keepSamples(stream);
      default:
        return stream.abort("not served to this edge");
    }
  };
}

function answerRecipient(stream: LinkStream, { gateways, events }: Inside): void {
  const read = readAskedRecipient(stream.header);
  if (!read.ok) return misshapen(stream, "edge-smtp", events);
  gateways.answer(stream, read.value.path);
}

/** A flood of strangers is worth a count, not a place in the ledger for each. */
export function refusalKeeper(
  { store, clock, events, reports }: Pick<Inside, "store" | "clock" | "events" | "reports">,
  reasons: RefusalReasons,
): (stream: LinkStream) => void {
  const room = new TokenBucket(clock, refusalsPerSecond, refusalsAtOnce);
  return (stream) => {
    const read = readRefusals(stream.header);
    if (!read.ok) return misshapen(stream, "edge-smtp", events);
    for (const { judged, ...refusal } of read.value.refusals) {
      if (judged !== undefined) reports.refused(refusal, judged);
      const isKept = room.take();
      const steps = reasons.completed(refusal.id, refusal.steps);
      if (isKept) store.refused({ ...refusal, steps });
      events.refusalSeen(isKept);
    }
  };
}
