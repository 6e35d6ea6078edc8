/** A small world of certificates, and handshakes with real servers that show them; for tests. */

import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { createServer, type Server, type TlsOptions } from "node:tls";
import { systemClock } from "#base/clock";
import type { TlsDemand } from "#model/tls-policy";
import {
  type OddCertificate,
  type OddWish,
  oddCertificate,
} from "../../../tests/kit/odd-certificate.ts";
import { startTls, type TlsOutcome } from "./start-tls.ts";

export const host = "mx.example.test";
export const root: OddCertificate = oddCertificate({ commonName: "Root", authority: true });
export const issuing: OddCertificate = oddCertificate({
  commonName: "Issuing",
  authority: true,
  by: root,
});
export const otherRoot: OddCertificate = oddCertificate({
  commonName: "Other root",
  authority: true,
});

export function leaf(wish: Partial<OddWish> = {}): OddCertificate {
  return oddCertificate({ commonName: "mx", dnsNames: [host], by: issuing, ...wish });
}

export const good: OddCertificate = leaf();

export interface Shows {
  readonly own: OddCertificate;
  readonly above?: readonly OddCertificate[];
  readonly tls?: TlsOptions;
}

/** A real TLS server over loopback, and one handshake with it. */
export async function meet(shows: Shows, demand: Partial<TlsDemand>): Promise<TlsOutcome> {
  const { own, above = [issuing], tls } = shows;
  const cert = [own, ...above].map(({ pem }) => pem).join("");
  const server: Server = createServer({ key: own.keyPem, cert, ...tls }, (socket) => {
    socket.on("error", () => {});
  });
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const plain = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const all = { level: "required", serverName: host, minVersion: "TLSv1.2", ...demand } as const;
  const outcome = await startTls(plain, all, systemClock, 10_000);
  if (outcome.ok) outcome.stream.destroy();
  else assert.ok(plain.destroyed);
  server.close();
  return outcome;
}

/** "kind name" of the proof that stood, "-" when TLS stands without one, or the fault. */
export async function outcomeOf(shows: Shows, demand: Partial<TlsDemand>): Promise<string> {
  const outcome = await meet(shows, demand);
  if (!outcome.ok) return outcome.fault;
  const { proof = "-", provenName = "", peerCertificate } = outcome.facts;
  const own = hash("sha256", shows.own.x509.raw, "hex");
  assert.equal(peerCertificate, proof === "-" ? undefined : own);
  return `${proof} ${provenName}`.trim();
}

/** The host by the root. */
export const authority: {
  readonly kind: "authority";
  readonly names: readonly string[];
  readonly authorities: readonly string[];
} = { kind: "authority", names: [host], authorities: [root.pem] };
