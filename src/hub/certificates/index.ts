/** Certificates of all places: what is served, what is wrong with it, requests, installation, orders. */

import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { getCACertificates } from "node:tls";
import type { Clock } from "#base/clock";
import { Misconfigured, Unavailable } from "#base/errors";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { Random } from "#base/random";
import type { Link } from "#contracts/link";
import type { Certify } from "#edge/certify";
import { parsePem } from "#formats/x509";
import { forgetAccount, orderCertificate } from "./acme.ts";
import type { Dial } from "./agent.ts";
import { certificateEvents } from "./events.ts";
import { type Anchors, chainEnd, daysLeft, type Finding, finding, judge, nameOf } from "./judge.ts";
import { askOverLink, type Place, placeOf, servedChain } from "./places.ts";
import { type Attempt, startRenewal } from "./renewal.ts";
import { type CertificateSettings, type PlaceName, placeNames } from "./settings.ts";

export type { Attempt } from "./renewal.ts";
export type { CertificateSettings, PlaceName } from "./settings.ts";
export { placeNames } from "./settings.ts";

/** Says that the key which waits in the hub is meant for every place. */
const forAllFile = "tls.key.for-all";

export interface ServedFacts {
  readonly names: string;
  readonly issuer: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly daysLeft: number;
  /** Subjects from the leaf upwards. */
  readonly chain: readonly string[];
  readonly chainPem: string;
  readonly end: string;
}

export interface PlaceFacts {
  readonly place: PlaceName;
  readonly wantedNames: readonly string[];
  /** Absent when the place does not answer. */
  readonly served?: ServedFacts;
  readonly findings: readonly Finding[];
}

export interface PkiState {
  readonly places: readonly PlaceFacts[];
  /** Absent while no ACME server is configured. */
  readonly acme?: { readonly directory: string; readonly attempts: readonly Attempt[] };
}

export interface Installed {
  readonly place: PlaceName;
  readonly ok: boolean;
  readonly why: string;
}

export interface Certificates extends Disposable {
  show(): Promise<PkiState>;
  /** @param at where the key is made; "all": in the hub, for every place */
  request(
    at: PlaceName | "all",
    names?: readonly string[],
  ): Promise<{ readonly names: readonly string[]; readonly requestPem: string }>;
  /** With a key everywhere; without one where a key waits for it. */
  install(chainPem: string, keyPem?: string): Promise<readonly Installed[]>;
  /** @throws Misconfigured without an ACME server */
  order(wish: {
    readonly all?: boolean;
    readonly newAccount?: boolean;
  }): Promise<readonly Attempt[]>;
}

export interface CertificatePorts {
  readonly settings: CertificateSettings;
  readonly folder: string;
  /** Of the hub's own doors. */
  readonly own: Pick<Certify, "answer" | "secureContext">;
  readonly links: Readonly<Record<Exclude<PlaceName, "hub">, () => Link | undefined>>;
  readonly dial: Dial;
  /** More names that lead to the web edge, given those of before; absent: none. */
  readonly policyHosts?: (before: readonly string[]) => Promise<readonly string[]>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly registry: Registry;
  /** For tests. */
  readonly pollMs?: number;
}

export function startCertificates(ports: CertificatePorts): Certificates {
  const { settings, clock, own, folder } = ports;
  let further: readonly string[] = [];
  const look = async (): Promise<void> => {
    further = (await ports.policyHosts?.(further)) ?? [];
  };
  const places = placesOf(ports, () => further);
  const all = placeNames.map((name) => places[name]);
  const acme = settings.acme.directory === "" ? undefined : settings.acme;
  const order =
    acme &&
    ((place: Place) => orderCertificate({ ...ports, settings: acme }, place, places["edge-web"]));
  const events = certificateEvents(ports.log, ports.registry);
  const renewal = startRenewal({
    ...ports,
    places: all,
    events,
    prepare: look,
    ...(order && { order }),
  });
  const byHand = (): void => {
    if (acme === undefined) return;
    throw new Misconfigured("acme.directory is set: it orders (postern pki acme)");
  };
  const anchors = once(() => anchorsOf(settings.authority));
  return {
    async show() {
      await look();
      const attempts = renewal.attempts();
      const shown = await Promise.all(all.map((one) => factsOf(one, anchors(), clock.nowMs())));
      return {
        places: shown.map((one) => withAttempt(one, attempts)),
        ...(acme && { acme: { directory: acme.directory, attempts } }),
      };
    },
    async request(at, wished) {
      byHand();
      await look();
      const names = wished ?? namesFor(at, places);
      const { requestPem } = await places[at === "all" ? "hub" : at].ask({ do: "request", names });
      if (requestPem === undefined) throw new Unavailable(`${at} gave no request`);
      if (at === "all") writeFileSync(join(folder, forAllFile), "");
      if (at === "hub") rmSync(join(folder, forAllFile), { force: true });
      return { names, requestPem };
    },
    async install(chainPem, keyPem) {
      byHand();
      if (keyPem !== undefined) return installAll(all, chainPem, keyPem);
      return installFitting(all, chainPem, { folder, own });
    },
    async order({ all: every = false, newAccount = false }) {
      if (acme === undefined) {
        throw new Misconfigured("acme.directory is not set (docs/certificates.md)");
      }
      if (newAccount) forgetAccount(folder);
      return renewal.look({ now: true, all: every });
    },
    [Symbol.dispose]: () => renewal[Symbol.dispose](),
  };
}

type Places = Readonly<Record<PlaceName, Place>>;

function placesOf(
  { settings, links, own, clock }: CertificatePorts,
  further: () => readonly string[],
): Places {
  const edge = (name: Exclude<PlaceName, "hub">, served = settings.places[name]): Place =>
    placeOf(name, served, askOverLink(name, links[name], clock));
  const web = settings.places["edge-web"];
  return {
    "edge-web": edge("edge-web", {
      ...web,
      get names() {
        return [...new Set([...web.names, ...further()])];
      },
    }),
    "edge-smtp": edge("edge-smtp"),
    hub: placeOf("hub", settings.places.hub, (request) => own.answer(request)),
  };
}

function namesFor(at: PlaceName | "all", places: Places): readonly string[] {
  if (at !== "all") return places[at].settings.names;
  return [...new Set(placeNames.flatMap((name) => places[name].settings.names))];
}

/** One bought certificate for all: whoever takes one place then holds the key of the others. */
async function installAll(
  places: readonly Place[],
  chainPem: string,
  keyPem: string,
): Promise<readonly Installed[]> {
  const outcomes: Installed[] = [];
  for (const place of places) outcomes.push(await installAt(place, chainPem, keyPem));
  return outcomes;
}

async function installFitting(
  places: readonly Place[],
  chainPem: string,
  { folder, own }: Pick<CertificatePorts, "folder" | "own">,
): Promise<readonly Installed[]> {
  const outcomes = await Promise.all(places.map((place) => installAt(place, chainPem)));
  const isHere = outcomes.some(({ place, ok }) => place === "hub" && ok);
  if (!isHere || !existsSync(join(folder, forAllFile))) return outcomes;
  rmSync(join(folder, forAllFile), { force: true });
  const { key } = own.secureContext();
  const others = places.filter(({ name }) => name !== "hub");
  const spread = await installAll(others, chainPem, key);
  return [...spread, ...outcomes.filter(({ place }) => place === "hub")];
}

async function installAt(place: Place, chainPem: string, keyPem?: string): Promise<Installed> {
  try {
    await place.ask({ do: "install", chainPem, ...(keyPem !== undefined && { keyPem }) });
    return { place: place.name, ok: true, why: "" };
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    return { place: place.name, ok: false, why: error.message };
  }
}

async function factsOf(place: Place, anchors: Anchors, nowMs: number): Promise<PlaceFacts> {
  const { name, settings } = place;
  const wantedNames = settings.names;
  let chain: readonly X509Certificate[];
  try {
    chain = await servedChain(place);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const findings = [finding("warning", "no-answer", why)];
    return { place: name, wantedNames, findings };
  }
  const findings = judge(name, settings, chain, { anchors, nowMs });
  const [leaf] = chain;
  if (leaf === undefined) return { place: name, wantedNames, findings };
  const served = {
    names: leaf.subjectAltName ?? "",
    issuer: nameOf(leaf.issuer),
    notBeforeMs: leaf.validFromDate.getTime(),
    notAfterMs: leaf.validToDate.getTime(),
    daysLeft: daysLeft(leaf, nowMs),
    chain: chain.map((one) => nameOf(one.subject)),
    chainPem: chain.map((one) => one.toString()).join(""),
    end: chainEnd(chain, anchors),
  };
  return { place: name, wantedNames, served, findings };
}

function withAttempt(facts: PlaceFacts, attempts: readonly Attempt[]): PlaceFacts {
  const failed = attempts.find(
    ({ place, outcome }) => place === facts.place && outcome === "failed",
  );
  if (failed === undefined) return facts;
  return {
    ...facts,
    findings: [...facts.findings, finding("warning", "order-failed", failed.why)],
  };
}

/** Public ones as Node brings them: those that browsers and mail programs mostly know. */
function anchorsOf(authorityFile: string): Anchors {
  const read = (pem: string): X509Certificate => new X509Certificate(pem);
  const own = parsePem("CERTIFICATE", readOrNothing(authorityFile));
  return {
    public: getCACertificates("bundled").map(read),
    own: own.map((der) => new X509Certificate(der)),
  };
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function once<Value extends object>(make: () => Value): () => Value {
  let made: Value | undefined;
  return () => (made ??= make());
}
