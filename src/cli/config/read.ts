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
import { type FamilyName, type FamilyValues, families } from "./families.ts";
import { type SectionName, type Tables, tables } from "./tables.ts";

export type Config = { readonly [Name in SectionName]: Values<Tables[Name]> } & FamilyValues;

/** What the file sets, section by section, checked; of a family one record for each name. */
export type GivenConfig = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** @throws Misconfigured with "FILE:LINE:COLUMN: what is wrong" */
export function readConfig(path: string): GivenConfig {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const code = errorCode(error) ?? "error";
    const why = code === "ENOENT" ? "no such file" : `cannot be read (${code})`;
    throw new Misconfigured(`${path}: ${why}`, { cause: error });
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
  if (Object.hasOwn(families, name)) return checkFamily(file, name as FamilyName, section);
  const table: ParameterTable | undefined = Object.hasOwn(tables, name)
    ? tables[name as SectionName]
    : undefined;
  if (table === undefined) {
    const known = [...Object.keys(tables), ...Object.keys(families)];
    throw at(file, ["", name], unknown(`[${name}]`, name, known));
  }
  if (!isSection(section)) throw at(file, ["", name], `${name} is a section: write [${name}]`);
  checkKeys(file, name, table, section);
}

function checkFamily(file: File, family: FamilyName, members: unknown): void {
  const { table, check } = families[family];
  if (!isSection(members)) throw at(file, ["", family], `write [${family}.NAME]`);
  for (const [name, section] of Object.entries(members)) {
    const header = `${family}.${name}`;
    if (!isSection(section)) {
      throw at(file, [family, name], `${name} has no table: write [${family}.NAME]`);
    }
    checkKeys(file, header, table, section);
    try {
      check(name, { ...defaultsOf(table), ...section });
    } catch (error) {
      if (!(error instanceof Misconfigured)) throw error;
      throw inMember(file, header, error);
    }
  }
}

/** The place of a fault that names its key, or else its table. */
function inMember(file: File, header: string, { message }: Misconfigured): Misconfigured {
  const rest = message.startsWith(`${header}.`) ? message.slice(header.length + 1) : undefined;
  if (rest === undefined) return at(file, ["", header], message);
  return at(file, [header, rest.slice(0, rest.indexOf(" "))], rest);
}

const place = new RegExp(`^((?:(?:${Object.keys(families).join("|")})\\.)?[\\w-]+)\\.([\\w-]+)`);

/** A fault that begins with SECTION.KEY, with the place of that key in the file. */
export function inFile(path: string, { message }: Misconfigured): Misconfigured {
  const [, header = "", key = ""] = place.exec(message) ?? [];
  return at({ path, lines: readFileSync(path, "utf8").split("\n") }, [header, key], message);
}

function isSection(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function checkKeys(
  file: File,
  header: string,
  table: ParameterTable,
  section: Readonly<Record<string, unknown>>,
): void {
  for (const [key, value] of Object.entries(section)) {
    const parameter = Object.hasOwn(table, key) ? table[key] : undefined;
    if (parameter === undefined) {
      throw at(file, [header, key], unknown(key, key, Object.keys(table)));
    }
    const fault = faultOf(parameter, value);
    if (fault !== undefined) throw at(file, [header, key], `${key} ${fault}`);
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
  let headerAt: number | undefined;
  const wanted = bare(section === "" ? key : section);
  for (const [index, line] of lines.entries()) {
    const written = /^\s*\[+([^\]]+)/.exec(line)?.[1];
    const header = written === undefined ? undefined : bare(written);
    current = header ?? current;
    if (header === wanted) headerAt ??= index + 1;
    const assigned = /^\s*["']?([\w-]+)["']?\s*=/.exec(line)?.[1];
    const isHere =
      section === ""
        ? header === wanted ||
          header?.startsWith(`${wanted}.`) ||
          (current === "" && assigned === key)
        : current === wanted && assigned === key;
    if (!isHere) continue;
    const column = Math.max(0, line.indexOf(key)) + 1;
    return new Misconfigured(`${path}:${index + 1}:${column}: ${what}`);
  }
  // A key that is missing, or at its default, has no line of its own.
  const place = headerAt === undefined ? path : `${path}:${headerAt}:1`;
  return new Misconfigured(`${place}: ${what}`);
}

/** A header as it is compared: [outbound."My Partner"] has its name in quotes. */
function bare(header: string): string {
  return header.replace(/["'\s]/g, "");
}

/** The whole configuration: what was given over the defaults. */
export function complete(given: GivenConfig): Config {
  const sections = Object.entries(tables).map(([name, table]) => [
    name,
    { ...defaultsOf(table as ParameterTable), ...given[name] },
  ]);
  const named = Object.entries(families).map(([family, { table }]) => [
    family,
    Object.fromEntries(
      Object.entries(given[family] ?? {}).map(([name, values]) => [
        name,
        { ...defaultsOf(table), ...(values as object) },
      ]),
    ),
  ]);
  return Object.fromEntries([...sections, ...named]) as Config;
}
