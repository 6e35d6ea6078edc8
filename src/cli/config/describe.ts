/** The configuration as text, as a JSON Schema, and as what differs from the defaults. */

import { isDeepStrictEqual } from "node:util";
import { defaultsOf, type Parameter, type ParameterTable } from "#base/parameters";
import { families } from "./families.ts";
import { type Config, complete } from "./read.ts";
import { tables } from "./tables.ts";

function literal(value: Parameter["default"]): string {
  return JSON.stringify(value);
}

/** A commented file with every parameter at its default. */
export function describeConfig(): string {
  const sections = Object.entries(tables).map(([name, table]) =>
    [`[${name}]`, ...described(table as ParameterTable, "#"), ""].join("\n"),
  );
  // Twice commented: a family has no table until somebody names one.
  const named = Object.entries(families).map(([family, { table, doc }]) =>
    [`## [${family}.NAME]`, `## ${doc}`, ...described(table, "##"), ""].join("\n"),
  );
  return [...sections, ...named].join("\n");
}

function described(table: ParameterTable, comment: string): string[] {
  return Object.entries(table).flatMap(([key, parameter]) => {
    const range = [
      parameter.unit === undefined ? "" : `in ${parameter.unit}`,
      parameter.min === undefined ? "" : `at least ${parameter.min}`,
      parameter.max === undefined ? "" : `at most ${parameter.max}`,
      parameter.oneOf === undefined ? "" : `one of ${parameter.oneOf.filter(Boolean).join(", ")}`,
    ].filter((part) => part !== "");
    return [
      `${comment} ${parameter.doc}${range.length > 0 ? ` (${range.join(", ")})` : ""}`,
      `${comment} ${key} = ${literal(parameter.default)}`,
    ];
  });
}

/** JSON Schema 2020-12, so that editors complete and check the file. */
export function configSchema(): object {
  const sections = Object.entries(tables).map(([name, table]) => [
    name,
    tableSchema(table as ParameterTable),
  ]);
  const named = Object.entries(families).map(([family, { table, doc }]) => [
    family,
    { type: "object", description: doc, additionalProperties: tableSchema(table) },
  ]);
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "postern.toml",
    type: "object",
    additionalProperties: false,
    properties: Object.fromEntries([...sections, ...named]),
  };
}

function tableSchema(table: ParameterTable): object {
  const keys = Object.entries(table).map(([key, parameter]) => [key, schemaOf(parameter)]);
  return { type: "object", additionalProperties: false, properties: Object.fromEntries(keys) };
}

function schemaOf(parameter: Parameter): object {
  const common = { description: parameter.doc, default: parameter.default };
  if (Array.isArray(parameter.default)) {
    return { ...common, type: "array", items: { type: "string" } };
  }
  const type = typeof parameter.default === "number" ? "integer" : typeof parameter.default;
  return {
    ...common,
    type,
    ...(parameter.min !== undefined && { minimum: parameter.min }),
    ...(parameter.max !== undefined && { maximum: parameter.max }),
    ...(parameter.oneOf !== undefined && { enum: parameter.oneOf }),
  };
}

export interface Difference {
  readonly key: string;
  readonly value: unknown;
  readonly default: unknown;
}

/** Parameters that differ from their defaults; of a named table those that its family says. */
export function nonDefaults(config: Config): readonly Difference[] {
  return flatten(config).filter((one) => !isDeepStrictEqual(one.value, one.default));
}

/** Every parameter in force, under its whole name. */
export function flatten(config: Config): readonly Difference[] {
  const normal: Readonly<Record<string, Readonly<Record<string, unknown>>>> = complete({});
  const given: Readonly<Record<string, Readonly<Record<string, unknown>>>> = config;
  const row = (section: string, standard: Readonly<Record<string, unknown>>, values: object) =>
    Object.entries(values).map(([key, value]) => ({
      key: `${section}.${key}`,
      value: value as unknown,
      default: standard[key],
    }));
  return [
    ...Object.keys(tables).flatMap((name) => row(name, normal[name] ?? {}, given[name] ?? {})),
    ...Object.entries(families).flatMap(([family, { table }]) =>
      Object.entries(given[family] ?? {}).flatMap(([name, values]) =>
        row(`${family}.${name}`, defaultsOf(table), values as object),
      ),
    ),
  ];
}
