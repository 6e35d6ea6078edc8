/** What each DKIM key of a domain is for, kept beside the keys: "example.org.states.json". */

import { Buffer } from "node:buffer";
import { join } from "node:path";
import { Misconfigured } from "#base/errors";
import type { KeptKey } from "#contracts/keyring";
import { readPrivateFile, writePrivateFile } from "./private-file.ts";

/** Retired: destroyed. It is remembered so that its selector is never used again. */
export interface Purpose {
  readonly state: KeptKey["state"] | "retired";
  readonly sinceMs: number;
}

/** By selector. A key that is not in it signs: it is older than any change. */
export type KeyStates = ReadonlyMap<string, Purpose>;

const ending = ".states.json";
const words: readonly unknown[] = ["pending", "active", "retiring", "retired"];

/** The domain whose states a file holds; undefined of other files. */
export function domainOfStates(name: string): string | undefined {
  return name.endsWith(ending) ? name.slice(0, -ending.length) : undefined;
}

/** @throws Misconfigured when the file is damaged: a guess might sign with a key nobody knows */
export function readStates(directory: string, domain: string): KeyStates {
  const path = join(directory, domain + ending);
  const states = parseStates(readPrivateFile(path).toString("latin1"));
  if (states !== undefined) return states;
  throw new Misconfigured(`${path} is damaged: put back a copy of it`);
}

/** All of a domain's states change in one step, and are durable when it resolves. */
export async function writeStates(
  directory: string,
  domain: string,
  states: KeyStates,
): Promise<void> {
  const octets = Buffer.from(JSON.stringify(Object.fromEntries(states)));
  await writePrivateFile(directory, domain + ending, octets);
}

function parseStates(text: string): KeyStates | undefined {
  try {
    const value = JSON.parse(text) as Readonly<Record<string, Partial<Purpose>>> | null;
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    const entries = Object.entries(value);
    const isWhole = entries.every(
      ([, { state, sinceMs }]) => words.includes(state) && Number.isSafeInteger(sinceMs),
    );
    return isWhole ? new Map(entries as [string, Purpose][]) : undefined;
  } catch {
    return undefined;
  }
}
