/** What stays of an enrolment: the inside's list of edges, and what the edge was told. */

import { existsSync, readFileSync, renameSync } from "node:fs";
import { Misconfigured } from "#base/errors";
import type { Endpoint } from "#base/net";
import type { HubSettings } from "#hub";
import type { Layout } from "../layout.ts";
import { fingerprintOf } from "../link-identity.ts";
import { folder, writePrivate } from "../secrets.ts";

/** One machine of the DMZ as the inside knows it. */
export interface EnrolledEdge {
  readonly name: string;
  /** Host name or address, as the inside dials it. */
  readonly address: string;
  readonly enrolledAt: string;
  readonly smtp: EnrolledEnd;
  readonly web: EnrolledEnd;
}

interface EnrolledEnd {
  readonly port: number;
  /** Public: the one certificate that is accepted there. */
  readonly certificatePem: string;
}

/** Sent by the inside, kept on the edge; nothing in it is a secret. */
export interface Enrolment {
  /** The edge's name inside. */
  readonly name: string;
  readonly domain: string;
  readonly hostname: string;
  /** The one certificate that may dial. */
  readonly hubCertificatePem: string;
  /** Ed25519, SubjectPublicKeyInfo in PEM: signs what the edge is told to do. */
  readonly policyPublicKey: string;
}

export function readEdges({ edges }: Layout): readonly EnrolledEdge[] {
  if (!existsSync(edges)) return [];
  return (JSON.parse(readFileSync(edges, "utf8")) as { edges: EnrolledEdge[] }).edges;
}

export function writeEdges({ edges, hub }: Layout, enrolled: readonly EnrolledEdge[]): void {
  folder(hub);
  writeWhole(edges, { edges: enrolled });
}

export function writeEnrolment({ enrolment }: Layout, value: Enrolment): void {
  writeWhole(enrolment, value);
}

/** Whoever looks finds the old file or the new one. */
function writeWhole(path: string, value: object): void {
  writePrivate(`${path}.next`, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(`${path}.next`, path);
}

type EdgePeer = HubSettings["link"]["edges"][number];

/** How the hub dials them. */
export function peersOf(enrolled: readonly EnrolledEdge[]): readonly EdgePeer[] {
  return enrolled.flatMap(({ address, smtp, web }) => [
    peer("edge-smtp", { host: address, port: smtp.port }, smtp),
    peer("edge-web", { host: address, port: web.port }, web),
  ]);
}

function peer(name: EdgePeer["name"], endpoint: Endpoint, end: EnrolledEnd): EdgePeer {
  return { name, endpoint, fingerprint: fingerprintOf(end.certificatePem) };
}

/** @throws Misconfigured when this machine was never enrolled */
export function readEnrolment({ enrolment }: Layout): Enrolment {
  if (!existsSync(enrolment)) {
    throw new Misconfigured(`${enrolment}: run "postern edge enrol TOKEN" on this machine first`);
  }
  return JSON.parse(readFileSync(enrolment, "utf8")) as Enrolment;
}
