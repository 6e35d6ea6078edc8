/** The configuration as text, as a JSON Schema, and as what differs from the defaults. */

import { isDeepStrictEqual } from "node:util";
import type { Parameter, ParameterTable } from "#base/parameters";
import { type Config, complete } from "./read.ts";
import { tables } from "./tables.ts";

function literal(value: Parameter["default"]): string {
  return JSON.stringify(value);
}

/** A commented file with every parameter at its default. */
export function describeConfig(): string {
  const lines: string[] = [];
  for (const [name, table] of Object.entries(tables)) {
    lines.push(`[${name}]`);
    for (const [key, parameter] of Object.entries(table as ParameterTable)) {
      const range = [
        parameter.unit === undefined ? "" : `in ${parameter.unit}`,
        parameter.min === undefined ? "" : `at least ${parameter.min}`,
        parameter.max === undefined ? "" : `at most ${parameter.max}`,
        parameter.oneOf === undefined ? "" : `one of ${parameter.oneOf.join(", ")}`,
      ].filter((part) => part !== "");
      lines.push(`# ${parameter.doc}${range.length > 0 ? ` (${range.join(", ")})` : ""}`);
      lines.push(`# ${key} = ${literal(parameter.default)}`);
    }
    lines.push("");
  }
  return lines.join("\n");
}

/** JSON Schema 2020-12, so that editors complete and check the file. */
export function configSchema(): object {
  const sections = Object.entries(tables).map(([name, table]) => {
    const keys = Object.entries(table as ParameterTable).map(([key, parameter]) => [
      key,
      schemaOf(parameter),
    ]);
    return [
      name,
      { type: "object", additionalProperties: false, properties: Object.fromEntries(keys) },
    ];
  });
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "postern.toml",
    type: "object",
    additionalProperties: false,
    properties: Object.fromEntries(sections),
  };
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

/** Parameters that differ from their defaults. */
export function nonDefaults(config: Config): readonly Difference[] {
  const plain: Readonly<Record<string, Readonly<Record<string, unknown>>>> = complete({});
  const given: Readonly<Record<string, Readonly<Record<string, unknown>>>> = config;
  return Object.entries(given).flatMap(([name, section]) =>
    Object.entries(section).flatMap(([key, value]) => {
      const normal = plain[name]?.[key];
      if (isDeepStrictEqual(normal, value)) return [];
      return [{ key: `${name}.${key}`, value, default: normal }];
    }),
  );
}
