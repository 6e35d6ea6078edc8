/** Recipients from a file, an address in each line; read again when it changes. */

import { readFileSync, type Stats, statSync } from "node:fs";
import type { Clock } from "#base/clock";
import { Misconfigured } from "#base/errors";
import { parseDomain, parseMailbox } from "#formats/address";
import { type RecipientSource, withoutTag } from "./source.ts";

export interface ListPorts {
  readonly clock: Clock;
  /** The file changed and cannot be used: what it said before holds. */
  readonly unusable: (why: string) => void;
}

/** How often it is looked whether the file changed. */
const lookMs = 1000;
/** Ours: some million addresses. */
const maxBytes = 64 * 1024 * 1024;

interface Kept {
  readonly entries: ReadonlySet<string>;
  /** Which state of the file that was. */
  readonly state: string;
}

/** @throws Misconfigured when the file cannot be used */
export function listSource(
  file: string,
  subAddresses: boolean,
  { clock, unusable }: ListPorts,
): RecipientSource {
  let kept = readList(file);
  let lookedAtMs = clock.tickMs();
  let trouble = "";
  const look = (): void => {
    if (clock.tickMs() - lookedAtMs < lookMs) return;
    lookedAtMs = clock.tickMs();
    try {
      const stats = statSync(file, { throwIfNoEntry: false });
      const isSame = stats !== undefined && stateOf(stats) === kept.state;
      if (trouble !== "" || !isSame) kept = readList(file);
      trouble = "";
    } catch (error) {
      const why = (error as Error).message;
      if (why !== trouble) unusable(why);
      trouble = why;
    }
  };
  const isListed = (address: string): boolean => {
    const key = address.toLowerCase();
    return kept.entries.has(key) || kept.entries.has(key.slice(key.lastIndexOf("@")));
  };
  return {
    async has(address) {
      look();
      const base = subAddresses ? withoutTag(address) : undefined;
      return isListed(address) || (base !== undefined && isListed(base));
    },
    trouble() {
      look();
      return trouble;
    },
    async [Symbol.asyncDispose]() {},
  };
}

function stateOf({ ino, size, mtimeMs, ctimeMs }: Stats): string {
  return [ino, size, mtimeMs, ctimeMs].join(" ");
}

/** @throws Misconfigured when the file cannot be used */
export function readList(file: string): Kept {
  let text: string;
  let state: string;
  try {
    const stats = statSync(file);
    if (stats.size > maxBytes) throw new Misconfigured(`${file}: larger than ${maxBytes} octets`);
    state = stateOf(stats);
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Misconfigured) throw error;
    throw new Misconfigured(`${file}: the list cannot be read`, { cause: error });
  }
  return { entries: parseList(file, text), state };
}

/** @throws Misconfigured naming the line */
function parseList(file: string, text: string): ReadonlySet<string> {
  const entries = new Set<string>();
  for (const [index, line] of text.split("\n").entries()) {
    const entry = line.trim().toLowerCase();
    if (entry === "" || entry.startsWith("#")) continue;
    const isDomain = entry.startsWith("@") && parseDomain(entry.slice(1), true) !== null;
    if (!isDomain && !parseMailbox(entry, true).ok) {
      throw new Misconfigured(`${file}:${index + 1}: neither an address nor @DOMAIN`);
    }
    entries.add(entry);
  }
  return entries;
}
