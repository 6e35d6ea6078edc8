/** The shape of inbound connectors as the inside pushes them. */

import { createSecureContext } from "node:tls";
import { parseRange } from "#base/ip";
import type { InboundConnector } from "#model/connector";

/** Ours: more partners than any edge has, and lists longer than anybody writes. */
const maxConnectors = 1000;
const maxItems = 1000;

/** @returns undefined unless every one has the shape: half of the demands would be none */
export function readInbound(value: unknown): readonly InboundConnector[] | undefined {
  if (!Array.isArray(value) || value.length > maxConnectors) return undefined;
  return value.every(isConnector) ? (value as readonly InboundConnector[]) : undefined;
}

function isConnector(value: unknown): boolean {
  const one = (typeof value === "object" && value !== null ? value : {}) as Readonly<
    Record<string, unknown>
  >;
  const { name, door, networks, certificates, user, senderDomains, minVersion, groups } = one;
  return (
    isText(name, /^[a-z0-9_-]{1,64}$/i) &&
    door === "edge" &&
    isList(networks, (text) => parseRange(text) !== undefined) &&
    isList(certificates, (text) => /^[0-9a-f]{64}$/.test(text)) &&
    (user === undefined || isText(user, /^[^\0-\x1f\x7f]{1,255}$/)) &&
    isList(senderDomains, (text) => /^[a-z0-9.-]{1,255}$/.test(text)) &&
    [one["requireTls"], one["trusted"]].every((flag) => typeof flag === "boolean") &&
    one["mayRelay"] === false &&
    (minVersion === "TLSv1.2" || minVersion === "TLSv1.3") &&
    (groups === undefined || isList(groups, isGroup))
  );
}

function isText(value: unknown, pattern: RegExp): boolean {
  return typeof value === "string" && pattern.test(value);
}

function isList(value: unknown, fits: (text: string) => boolean): boolean {
  if (!Array.isArray(value) || value.length > maxItems) return false;
  return value.every((item) => typeof item === "string" && fits(item));
}

/** A name that OpenSSL does not know would break each handshake. */
function isGroup(name: string): boolean {
  if (!/^[A-Za-z0-9_-]{1,40}$/.test(name)) return false; // ":" would bring several
  try {
    createSecureContext({ ecdhCurve: name });
    return true;
  } catch {
    return false;
  }
}
