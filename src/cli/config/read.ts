/** Reads postern.toml: unknown keys and wrong values are errors with line, column and advice. */

import { readFileSync } from "node:fs";
import { parse, TomlError } from "smol-toml";
import { errorCode } from "#base/disk";
import { Misconfigured } from "#base/errors";
import {
  defaultsOf,
  didYouMean,
  faultOf,
  type ParameterTable,
  type Values,
} from "#base/parameters";
import { type SectionName, type Tables, tables } from "./tables.ts";

export type Config = { readonly [Name in SectionName]: Values<Tables[Name]> };

/** What the file sets, section by section, checked. */
export type GivenConfig = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** @throws Misconfigured with "FILE:LINE:COLUMN: what is wrong" */
export function readConfig(path: string): GivenConfig {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Misconfigured(`${path}: cannot be read (${errorCode(error) ?? "error"})`, {
      cause: error,
    });
  }
  return checkConfig(text, path);
}

export function checkConfig(text: string, path: string): GivenConfig {
  let parsed: Record<string, unknown>;
  try {
    parsed = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const what = error.message.split("\n")[0] ?? "not TOML";
    throw new Misconfigured(`${path}:${error.line}:${error.column}: ${what}`, { cause: error });
  }
  const file = { path, lines: text.split("\n") };
  for (const [name, section] of Object.entries(parsed)) checkSection(file, name, section);
  return parsed as GivenConfig;
}

interface File {
  readonly path: string;
  readonly lines: readonly string[];
}

function checkSection(file: File, name: string, section: unknown): void {
  const table: ParameterTable | undefined = Object.hasOwn(tables, name)
    ? tables[name as SectionName]
    : undefined;
  if (table === undefined) {
    throw at(file, ["", name], unknown(`[${name}]`, name, Object.keys(tables)));
  }
  if (typeof section !== "object" || section === null || Array.isArray(section)) {
    throw at(file, ["", name], `${name} is a section: write [${name}]`);
  }
  for (const [key, value] of Object.entries(section)) {
    const parameter = Object.hasOwn(table, key) ? table[key] : undefined;
    if (parameter === undefined) {
      throw at(file, [name, key], unknown(key, key, Object.keys(table)));
    }
    const fault = faultOf(parameter, value);
    if (fault !== undefined) throw at(file, [name, key], `${key} ${fault}`);
  }
}

function unknown(shown: string, word: string, known: readonly string[]): string {
  const near = didYouMean(word, known);
  return `${shown} is not known${near === undefined ? "" : `; did you mean "${near}"?`}`;
}

/** The parser tells no positions of good TOML, so the key is looked up in its section's lines. */
function at(
  { path, lines }: File,
  [section, key]: readonly [section: string, key: string],
  what: string,
): Misconfigured {
  let current = "";
  for (const [index, line] of lines.entries()) {
    const header = /^\s*\[+\s*["']?([^\]"'.]+)/.exec(line)?.[1]?.trim();
    current = header ?? current;
    const assigned = /^\s*["']?([\w-]+)["']?\s*=/.exec(line)?.[1];
    const isHere = section === "" ? header === key : current === section && assigned === key;
    if (isHere || (section === "" && current === "" && assigned === key)) {
      return new Misconfigured(`${path}:${index + 1}:${line.indexOf(key) + 1}: ${what}`);
    }
  }
  return new Misconfigured(`${path}: ${what}`);
}

/** The whole configuration: what was given over the defaults. */
export function complete(given: GivenConfig): Config {
  const sections = Object.entries(tables).map(([name, table]) => [
    name,
    { ...defaultsOf(table as ParameterTable), ...given[name] },
  ]);
  return Object.fromEntries(sections) as Config;
}
