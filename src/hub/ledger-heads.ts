/** Cosigned heads as files of the hub: the newest, and one for each day that proofs can point back to. */

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errorCode } from "#base/disk";
import { formatNoteKey, parseNoteKey, parseSignedHead } from "#formats/checkpoint";
import type { Cosigned } from "./witnessing.ts";

const newest = "newest.json";
const dayPattern = /^\d{4}-\d{2}-\d{2}\.note$/;
/** Two years and a little. */
const maxDays = 750;

export interface LedgerHeads {
  readonly last: Cosigned | undefined;
  keep(head: Cosigned): void;
  /** The latest kept note of a tree without that record. */
  before(lsn: number): string | undefined;
}

/** What is lost here is asked for again: nothing of it is the only copy but the past days. */
export function openHeads(folder: string): LedgerHeads {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const days = (): string[] =>
    readdirSync(folder)
      .filter((name) => dayPattern.test(name))
      .sort();
  const write = (name: string, text: string): void => {
    writeFileSync(join(folder, `${name}.new`), text, { mode: 0o600 });
    renameSync(join(folder, `${name}.new`), join(folder, name));
  };
  return {
    last: readNewest(join(folder, newest)),
    keep({ note, witnessKeys }) {
      write(newest, JSON.stringify({ note, witnessKeys: witnessKeys.map(formatNoteKey) }));
      const head = parseSignedHead(note);
      if (!head.ok) return;
      write(`${new Date(head.value.head.timeMs).toISOString().slice(0, 10)}.note`, note);
      for (const old of days().slice(0, -maxDays)) rmSync(join(folder, old));
    },
    before(lsn) {
      for (const name of days().reverse()) {
        const note = readFileSync(join(folder, name), "utf8");
        const head = parseSignedHead(note);
        if (head.ok && head.value.head.size < lsn) return note;
      }
      return undefined;
    },
  };
}

function readNewest(path: string): Cosigned | undefined {
  try {
    const { note, witnessKeys } = JSON.parse(readFileSync(path, "utf8"));
    const keys = (witnessKeys as string[]).map(parseNoteKey);
    const known = keys.flatMap((key) => (key.ok ? [key.value] : []));
    return known.length === keys.length ? { note, witnessKeys: known } : undefined;
  } catch (error) {
    if (errorCode(error) === "ENOENT" || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
