/** Tables that come as many times as an administrator wants, each under a name: [publish.NAME]. */

import type { ParameterTable, Values } from "#base/parameters";
import { completePublication, type Publication, publicationParameters } from "#hub";
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
}

export type FamilyName = keyof Families;

export const families: Readonly<Record<FamilyName, Family>> = {
  publish: {
    table: publicationParameters,
    doc: "One application inside that the web edge publishes (docs/publishing.md).",
    check: (name, values) => void completePublication(name, values as unknown as Publication),
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
