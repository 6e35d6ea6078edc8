/** Which connector mail for a domain leaves by: the most specific address space, then the cost. */

import { parseDomain } from "#formats/address";
import type { AddressSpace, OutboundConnector } from "#model/connector";

/**
 * @param text as an administrator writes it: "example.net", ".example.net", "*"; any case, U-labels
 * and one final dot are fine
 * @returns undefined when it is none of these; an address literal is none
 */
export function parseSpace(text: string): AddressSpace | undefined {
  if (text === "*") return { kind: "any" };
  const isBelow = text.startsWith(".");
  const domain = parseDomain(withoutFinalDot(isBelow ? text.slice(1) : text), true);
  if (domain === null) return undefined;
  return { kind: isBelow ? "below" : "exact", domain };
}

export function formatSpace(space: AddressSpace): string {
  if (space.kind === "any") return "*";
  return space.kind === "below" ? `.${space.domain}` : space.domain;
}

/** The way of one domain, and the space that it was chosen by. */
export interface Chosen {
  readonly connector: OutboundConnector;
  readonly space: AddressSpace;
}

/**
 * Every connector with a space for the domain, the one that is used first: exact before below, a
 * longer suffix before a shorter one, both before any; then the lower cost, then the name.
 *
 * @param domain of a recipient, or an address literal, which only "*" holds
 */
export function rankOutbound(
  connectors: readonly OutboundConnector[],
  domain: string,
): readonly Chosen[] {
  const asked = canonical(domain);
  return connectors
    .flatMap((connector) => {
      const found = bestSpace(connector.spaces, asked);
      return found === undefined ? [] : [{ connector, ...found }];
    })
    .sort(
      (one, other) =>
        other.weight - one.weight ||
        one.connector.cost - other.connector.cost ||
        (one.connector.name < other.connector.name ? -1 : 1),
    );
}

/** @returns undefined when no space holds the domain */
export function chooseOutbound(
  connectors: readonly OutboundConnector[],
  domain: string,
): OutboundConnector | undefined {
  return rankOutbound(connectors, domain)[0]?.connector;
}

/** Lower case, A-labels, no final dot; what is no domain is compared as it is, and only "*" holds it. */
function canonical(domain: string): string {
  return parseDomain(withoutFinalDot(domain), true) ?? domain;
}

function withoutFinalDot(text: string): string {
  return text.endsWith(".") ? text.slice(0, -1) : text;
}

function bestSpace(
  spaces: readonly AddressSpace[],
  domain: string,
): { readonly space: AddressSpace; readonly weight: number } | undefined {
  let best: { space: AddressSpace; weight: number } | undefined;
  for (const space of spaces) {
    const weight = weightOf(space, domain);
    if (weight > (best?.weight ?? -1)) best = { space, weight };
  }
  return best;
}

/** -1: not in it. Else the greater, the more specific. */
function weightOf(space: AddressSpace, domain: string): number {
  if (space.kind === "any") return 0;
  if (space.kind === "exact") return space.domain === domain ? Number.POSITIVE_INFINITY : -1;
  return domain.endsWith(`.${space.domain}`) ? space.domain.length : -1;
}
