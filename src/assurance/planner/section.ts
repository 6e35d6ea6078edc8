/** One [table.name] of a topology file, read field by field; each fault names its line. */

import { Misconfigured } from "#base/errors";
import { didYouMean } from "#base/parameters";

export interface File {
  readonly path: string;
  readonly lines: readonly string[];
  readonly tables: Readonly<Record<string, unknown>>;
}

/** Every reader gives undefined for an absent key, and throws Misconfigured for a wrong value. */
export interface Section {
  readonly name: string;
  fault(key: string, what: string): Misconfigured;
  only(...known: readonly string[]): void;
  flag(key: string): boolean | undefined;
  number(key: string, least: number, most: number): number | undefined;
  text(key: string, form: RegExp, what: string): string | undefined;
  word<Word extends string>(key: string, known: readonly Word[]): Word | undefined;
  words<Word extends string>(key: string, known: readonly Word[]): readonly Word[] | undefined;
  /** @param read one item in its right spelling; undefined refuses it */
  list(key: string, mostCount: number, read: Read, what: string): readonly string[] | undefined;
  pair(key: string, read: Read): readonly [string, string] | undefined;
}

type Read = (text: string) => string | undefined;

type Fields = Readonly<Record<string, unknown>>;

/** All [table.NAME] of a table, or the one [table]. @throws Misconfigured when it is no table */
export function sections(file: File, table: string, alone?: "alone"): readonly Section[] {
  const whole = Object.hasOwn(file.tables, table) ? file.tables[table] : undefined;
  if (whole === undefined) return [];
  if (!isFields(whole)) throw new Misconfigured(`${file.path}: write [${table}]`);
  if (alone !== undefined) return [sectionOf(file, table, table, whole)];
  return Object.entries(whole).map(([name, fields]) => {
    if (isFields(fields)) return sectionOf(file, `${table}.${name}`, name, fields);
    throw new Misconfigured(`${file.path}: write [${table}.NAME]`);
  });
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function sectionOf(file: File, heading: string, name: string, fields: Fields): Section {
  const shown = heading.replace(/[^ -~]/g, "?").slice(0, 60);
  const fault: Fault = (key, what) => {
    const line = lineOf(file.lines, heading, key);
    const at = line === undefined ? file.path : `${file.path}:${line}`;
    const gap = key === "" || what.startsWith(":") ? "" : " ";
    return new Misconfigured(`${at}: [${shown}]${key === "" ? "" : ` ${key}`}${gap}${what}`);
  };
  const only: Section["only"] = (...known) => {
    const stranger = Object.keys(fields).find((key) => !known.includes(key));
    if (stranger === undefined) return;
    const near = didYouMean(stranger, known);
    const advice = near === undefined ? "" : `; did you mean ${near}?`;
    throw fault("", `: ${quoted(stranger)} is not known${advice}`);
  };
  return { name, fault, only, ...readersOf(fields, fault) };
}

type Fault = Section["fault"];

function readersOf(fields: Fields, fault: Fault): Omit<Section, "name" | "fault" | "only"> {
  const valueOf = (key: string): unknown => (Object.hasOwn(fields, key) ? fields[key] : undefined);
  const textOf = (key: string): string | undefined => {
    const value = valueOf(key);
    if (value === undefined || typeof value === "string") return value;
    throw fault(key, "must be a string");
  };
  const list: Section["list"] = (key, mostCount, read, what) => {
    const value = valueOf(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) throw fault(key, "must be a list of strings");
    if (value.length > mostCount) throw fault(key, `has more than ${mostCount} entries`);
    return value.map((item: unknown) => {
      const fit = typeof item === "string" && item.length <= 200 ? read(item) : undefined;
      if (fit === undefined) throw fault(key, `: ${quoted(item)} is not ${what}`);
      return fit;
    });
  };
  return {
    flag(key) {
      const value = valueOf(key);
      if (value === undefined || typeof value === "boolean") return value;
      throw fault(key, "must be true or false");
    },
    number(key, least, most) {
      const value = valueOf(key);
      if (value === undefined) return undefined;
      const isFit = Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
      if (isFit) return Number(value);
      throw fault(key, `must be a whole number from ${least} to ${most}`);
    },
    text(key, form, what) {
      const value = textOf(key);
      if (value === undefined || form.test(value)) return value;
      throw fault(key, `must be ${what}`);
    },
    word: (key, known) => wordOf(textOf(key), known, (what) => fault(key, what)),
    words: (key, known) =>
      list(key, 32, (text) => text, "a word")?.map(
        (text) => wordOf(text, known, (what) => fault(key, what)) ?? (text as never),
      ),
    list,
    pair(key, read) {
      const both = list(key, 2, read, "known");
      const [one, other] = both ?? [];
      if (both === undefined) return undefined;
      if (one === undefined || other === undefined) throw fault(key, "must have two entries");
      return [one, other];
    },
  };
}

function wordOf<Word extends string>(
  text: string | undefined,
  known: readonly Word[],
  fault: (what: string) => Misconfigured,
): Word | undefined {
  if (text === undefined) return undefined;
  const found = known.find((word) => word === text);
  if (found !== undefined) return found;
  const near = didYouMean(text, known);
  throw fault(
    `: ${quoted(text)} is not known${near === undefined ? "" : `; did you mean "${near}"?`}`,
  );
}

function quoted(value: unknown): string {
  return (
    JSON.stringify(value)
      ?.slice(0, 60)
      .replace(/[^ -~]/g, "?") ?? "that"
  );
}

/** The parser tells no positions of good TOML, so the key is looked up below its heading. */
function lineOf(lines: readonly string[], heading: string, key: string): number | undefined {
  const start = lines.findIndex((line) => line.trim().startsWith(`[${heading}]`));
  if (start < 0) return undefined;
  const below = lines.slice(start + 1);
  const end = below.findIndex((line) => line.trimStart().startsWith("["));
  const own = end < 0 ? below : below.slice(0, end);
  const at = own.findIndex((line) => line.split("=")[0]?.trim() === key);
  return at < 0 ? start + 1 : start + 2 + at;
}
