/** DMARC Policy Records (RFC 9989 §4.7, §4.8): tags that are read, defaults for all that is wrong. */

import { accept, type Result, refuse } from "#base/result";
import type { DmarcPolicy } from "#model/verdict";
import { parseUris, type ReportUri } from "./uri.ts";

export type DmarcFault = "not-dmarc" | "too-long";

export type FailureOption = "0" | "1" | "d" | "s";

export interface Policies {
  readonly p: DmarcPolicy;
  readonly sp?: DmarcPolicy;
  readonly np?: DmarcPolicy;
}

export interface DmarcRecord {
  /**
   * What the owner asks for; p=none when that is missing or malformed but reports are wanted. With a
   * word in its place DMARC does not apply (§4.10.1).
   */
  readonly policies: Policies | "missing" | "malformed";
  readonly adkim: "r" | "s";
  readonly aspf: "r" | "s";
  /** "y": a Public Suffix Domain; "n": an Organizational Domain; "u": not said. */
  readonly psd: "y" | "n" | "u";
  /** t=y: the policy is on trial. */
  readonly testing: boolean;
  readonly rua: readonly ReportUri[];
  readonly ruf: readonly ReportUri[];
  readonly fo: readonly FailureOption[];
  /** What was discarded, in words for the owner. */
  readonly faults: readonly string[];
}

/** Our limit, not the RFC's: no honest record is longer. In characters. */
const maxLength = 8192;
const maxFaults = 20;

/** §4.8: the name of the tag in any case, its value not. */
const version = /^[vV][ \t]*=[ \t]*DMARC1[ \t]*(?:;|$)/;
const tagName = /^[A-Za-z]+$/;
const tagValue = /^[\x20-\x7e]+$/;
const known = new Set(["p", "sp", "np", "adkim", "aspf", "psd", "t", "rua", "ruf", "fo"]);

/** Is it a record of this version? Others at the same name are not counted (§4.10 step 2). */
export function isDmarcRecord(text: string): boolean {
  return text.length <= maxLength && version.test(text);
}

/** @param text untrusted: the joined strings of one TXT record */
export function parseDmarcRecord(text: string): Result<DmarcRecord, DmarcFault> {
  if (text.length > maxLength) return refuse("too-long", maxLength);
  if (!isDmarcRecord(text)) return refuse("not-dmarc");
  const faults: string[] = [];
  const note = (fault: string): void => {
    if (faults.length < maxFaults) faults.push(fault);
  };
  const tags = tagsOf(text, note);
  const uris = (name: "rua" | "ruf"): readonly ReportUri[] => {
    const value = tags.get(name);
    if (value === undefined) return [];
    const { uris, faulty } = parseUris(value);
    for (const one of faulty) note(`${name}: "${shown(one)}" is not a URI`);
    return uris;
  };
  const word = <Word extends string>(name: string, words: readonly Word[], otherwise: Word) =>
    wordOf(tags, name, words, note) ?? otherwise;
  const rua = uris("rua");
  const ruf = uris("ruf");
  return accept({
    policies: policiesOf(tags, rua.length > 0, note),
    adkim: word("adkim", ["r", "s"], "r"),
    aspf: word("aspf", ["r", "s"], "r"),
    psd: word("psd", ["u", "y", "n"], "u"),
    testing: word("t", ["n", "y"], "n") === "y",
    rua,
    ruf,
    fo: failureOptions(tags.get("fo"), note),
    faults,
  });
}

/** §4.8: what breaks the syntax is discarded; of a tag that stands there twice, the second one. */
function tagsOf(text: string, note: (fault: string) => void): ReadonlyMap<string, string> {
  const tags = new Map<string, string>();
  for (const spec of text.split(";").slice(1)) {
    if (spec.trim() === "") continue;
    const equals = spec.indexOf("=");
    const name = spec.slice(0, Math.max(equals, 0)).trim();
    const value = spec.slice(equals + 1).trim();
    if (!tagName.test(name) || !tagValue.test(value)) note(`"${shown(spec)}" is not a tag`);
    else if (tags.has(name)) note(`${name} stands there twice`);
    else if (known.has(name)) tags.set(name, value); // §4.7: unknown tags are ignored
  }
  return tags;
}

const policyWords = ["none", "quarantine", "reject"] as const;

/** §4.10.1, on a record whose p is missing or wrong, or whose sp or np is wrong. */
function policiesOf(
  tags: ReadonlyMap<string, string>,
  wantsReports: boolean,
  note: (fault: string) => void,
): DmarcRecord["policies"] {
  const read = (name: string) => wordOf(tags, name, policyWords, note);
  const [p, sp, np] = [read("p"), read("sp"), read("np")];
  if (!tags.has("p")) note("p is missing");
  const values = { p, sp, np };
  const isMalformed = Object.entries(values).some(
    ([name, value]) => tags.has(name) && value === undefined,
  );
  if (p !== undefined && !isMalformed) {
    return { p, ...(sp !== undefined && { sp }), ...(np !== undefined && { np }) };
  }
  if (wantsReports) return { p: "none" };
  return isMalformed ? "malformed" : "missing";
}

/** Undefined when the tag is missing or its value is none of the words. */
function wordOf<Word extends string>(
  tags: ReadonlyMap<string, string>,
  name: string,
  words: readonly Word[],
  note: (fault: string) => void,
): Word | undefined {
  const value = tags.get(name);
  if (value === undefined) return undefined;
  const found = words.find((word) => word === value.toLowerCase());
  if (found === undefined) note(`${name}=${shown(value)} means nothing`);
  return found;
}

const options: readonly FailureOption[] = ["0", "1", "d", "s"];

/** §4.8 dmarc-fo: each option once, and not both of "0" and "1". */
function failureOptions(
  value: string | undefined,
  note: (fault: string) => void,
): readonly FailureOption[] {
  if (value === undefined) return ["0"];
  const given = value.toLowerCase().split(":", options.length + 1);
  const found = options.filter((option) => given.some((one) => one.trim() === option));
  const isSound = found.length === given.length && !(found[0] === "0" && found[1] === "1");
  if (isSound) return found;
  note(`fo=${shown(value)} means nothing`);
  return ["0"];
}

function shown(text: string): string {
  return text
    .trim()
    .replace(/[^\x20-\x7e]/g, "?")
    .slice(0, 60);
}
