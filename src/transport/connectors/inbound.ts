/** One [inbound.NAME] of the configuration, and which of them a peer comes by. */

import { Misconfigured } from "#base/errors";
import { isInNetwork, networkFault, parseIp, parseRange, plainAddress } from "#base/ip";
import { parseFingerprint } from "#contracts/link";
import { parseDomain } from "#formats/address";
import type { InboundConnector, InboundDoor } from "#model/connector";
import { checkLogin, each, faultsOf, tlsFloor } from "./faults.ts";
import type { InboundValues } from "./parameters.ts";

/**
 * @param values each fits by itself (inboundParameters)
 * @throws Misconfigured "inbound.NAME.KEY …" when they cannot hold together
 */
export function completeInbound(name: string, values: InboundValues): InboundConnector {
  const fault = faultsOf("inbound", name);
  const { door, networks, user, secretFiles, secretMaxAgeDays, trusted, mayRelay } = values;
  const certificates = each(values.certificates, parseFingerprint, (text) =>
    fault("certificates", `holds "${text}", which is not SHA-256 in hexadecimal`),
  );
  const senderDomains = each(
    values.senderDomains,
    (text) => parseDomain(text, true) ?? undefined,
    (text) => fault("senderDomains", `holds "${text}", which is no domain`),
  );
  for (const text of networks) {
    const wrong = networkFault(text);
    if (wrong !== undefined) throw fault("networks", `holds "${text}", which ${wrong}`);
  }
  if (networks.length === 0 && certificates.length === 0 && user === "") {
    throw fault("networks", "is empty, as are certificates and user: it would be for everybody");
  }
  if (mayRelay && door === "edge") {
    throw fault("mayRelay", 'does not go with door = "edge": that would be an open relay');
  }
  if (user === "" && secretFiles.length > 0) throw fault("secretFiles", "needs a user");
  if (user !== "") checkLogin(values, fault);
  if (user !== "" && senderDomains.length === 0) {
    throw fault("senderDomains", "is empty, so that the login could send as anybody");
  }
  return {
    name,
    door: door as InboundDoor,
    networks,
    certificates,
    ...(user !== "" && { user, secretFiles, secretMaxAgeDays }),
    senderDomains,
    requireTls: values.tls === "required",
    ...tlsFloor(values, fault),
    trusted,
    mayRelay,
  };
}

/** @throws Misconfigured when one login would belong to two connectors of a door */
export function checkInbound(connectors: readonly InboundConnector[]): void {
  const seen = new Map<string, string>();
  for (const { name, door, user } of connectors) {
    if (user === undefined) continue;
    const other = seen.get(`${door} ${user}`);
    if (other !== undefined) {
      throw new Misconfigured(`inbound.${name}.user is that of [inbound.${other}] too`);
    }
    seen.set(`${door} ${user}`, name);
  }
}

/** What is known of who is at the other end; a user only after the login. */
export interface InboundPeer {
  readonly address: string;
  /** SHA-256 of the client certificate, lower-case hexadecimal. */
  readonly certificate?: string;
  /** SHA-256 of its SubjectPublicKeyInfo. */
  readonly key?: string;
  readonly user?: string;
}

/**
 * The connector that the peer comes by: all that it asks for must be there, and of several the one
 * that asks most: a login before a certificate before a network, then the narrower network, then the
 * name. One with a user is found by the login alone, never before it.
 */
export function matchInbound(
  connectors: readonly InboundConnector[],
  door: InboundDoor,
  peer: InboundPeer,
): InboundConnector | undefined {
  const octets = parseIp(plainAddress(peer.address));
  let best: { connector: InboundConnector; weight: number } | undefined;
  for (const connector of connectors) {
    if (connector.door !== door) continue;
    const weight = weightOf(connector, peer, octets);
    if (weight === undefined || weight < (best?.weight ?? 0)) continue;
    const isTie = weight === best?.weight;
    if (best === undefined || !isTie || connector.name < best.connector.name) {
      best = { connector, weight };
    }
  }
  return best?.connector;
}

/** Undefined: it asks for something that the peer has not. */
function weightOf(
  { networks, certificates, user }: InboundConnector,
  peer: InboundPeer,
  octets: Uint8Array | undefined,
): number | undefined {
  if (user !== undefined && user !== peer.user) return undefined;
  const shown = [peer.certificate, peer.key].filter((print) => print !== undefined);
  const isCertified = certificates.some((print) => shown.includes(print));
  if (certificates.length > 0 && !isCertified) return undefined;
  const bits = networks.length === 0 ? 0 : bitsOf(networks, octets);
  if (bits === undefined) return undefined;
  return (user === undefined ? 0 : 1_000) + (isCertified ? 500 : 0) + bits;
}

/** Bits of the narrowest network with the address; one more than they are, so that any counts. */
function bitsOf(networks: readonly string[], octets: Uint8Array | undefined): number | undefined {
  if (octets === undefined) return undefined;
  const held = networks.flatMap((text) => {
    const range = parseRange(text);
    return range && isInNetwork(octets, range.octets, range.bits) ? [range.bits + 1] : [];
  });
  return held.length === 0 ? undefined : Math.max(...held);
}
