/** Tables that come as many times as an administrator wants, each under a name: [publish.NAME], [outbound.NAME]. */

import type { ParameterTable, Values } from "#base/parameters";
import {
  completeGateway,
  completePublication,
  type GatewayValues,
  gatewayParameters,
  type Publication,
  publicationParameters,
} from "#hub";
import {
  completeInbound,
  completeOutbound,
  type InboundValues,
  inboundParameters,
  type OutboundValues,
  outboundParameters,
} from "#transport/connectors";
import { tables } from "./tables.ts";

export interface Family {
  readonly table: ParameterTable;
  /** What one table is for, for the administrator. */
  readonly doc: string;
  /**
   * Whether its values hold together, once each fits by itself.
   *
   * @throws Misconfigured whose text begins with "FAMILY.NAME.KEY " or "FAMILY.NAME: "
   */
  check(name: string, values: Readonly<Record<string, unknown>>): void;
}

export interface Families {
  readonly publish: typeof publicationParameters;
  readonly outbound: typeof outboundParameters;
  readonly inbound: typeof inboundParameters;
  readonly gateway: typeof gatewayParameters;
}

export type FamilyName = keyof Families;

export const families: Readonly<Record<FamilyName, Family>> = {
  publish: {
    table: publicationParameters,
    doc: "One application inside that the web edge publishes (docs/publishing.md).",
    check: (name, values) => void completePublication(name, values as unknown as Publication),
  },
  outbound: {
    table: outboundParameters,
    doc: "One way for mail that leaves: some domains, their hosts, TLS and login (docs/connectors.md).",
    check: (name, values) => void completeOutbound(name, values as unknown as OutboundValues),
  },
  inbound: {
    table: inboundParameters,
    doc: "One partner, provider or machine that sends mail to us (docs/connectors.md).",
    check: (name, values) => void completeInbound(name, values as unknown as InboundValues),
  },
  gateway: {
    table: gatewayParameters,
    doc: "Domains whose mailboxes are on a mail server inside (docs/gateway.md).",
    check: (name, values) => void completeGateway(name, values as unknown as GatewayValues),
  },
};

/** By its name, with every key. */
export type FamilyValues = {
  readonly [Name in FamilyName]: Readonly<Record<string, Values<Families[Name]>>>;
};

/** Every table under the header it is written with, for the reference. */
export const configTables: Readonly<Record<string, ParameterTable>> = {
  ...tables,
  ...Object.fromEntries(
    Object.entries(families).map(([family, { table }]) => [`${family}.NAME`, table]),
  ),
};
