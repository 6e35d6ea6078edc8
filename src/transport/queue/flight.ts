/**
 * Which messages are under way, in a file that outlives the process, so that one under which it dies
 * again and again is found.
 *
 * Nothing is flushed: what is written is with the kernel, which a dead process does not take along.
 * A power cut may lose it; then nobody is suspected.
 */

import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { errorCode } from "#base/disk";
import type { MessageId } from "#model/mailbox";

/** After so many deaths in a row a message is set aside. */
export const maxCrashes = 3;

export interface FlightLog extends Disposable {
  /** How often in a row the process died with a message under way; those that it did not are absent. */
  readonly crashes: ReadonlyMap<MessageId, number>;
  /** @returns what ends it */
  begin(message: MessageId): () => void;
  /** It is set aside: it begins anew when it is released. */
  forget(message: MessageId): void;
}

const lineBytes = 64;
const emptyLine = Buffer.alloc(lineBytes, " ");

/** @param folder is made; one process at a time */
export function openFlightLog(folder: string): FlightLog {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, "under-way");
  const crashes = new Map(countCrashes(folder, path));
  const file = openSync(path, "w", 0o600);
  const free: number[] = [];
  let lines = 0;
  const write = (text: Buffer, line: number): void => {
    try {
      writeSync(file, text, 0, lineBytes, line * lineBytes);
    } catch {
      // No room: then nobody is suspected, and mail goes on.
    }
  };
  return {
    crashes,
    begin(message) {
      const line = free.pop() ?? lines++;
      const text = Buffer.from(emptyLine);
      text.write(`${message}\n`, "latin1");
      write(text, line);
      let isOver = false;
      return () => {
        if (isOver) return;
        isOver = true;
        write(emptyLine, line);
        free.push(line);
      };
    },
    forget(message) {
      crashes.delete(message);
      keep(folder, crashes);
    },
    [Symbol.dispose]() {
      ftruncateSync(file, 0);
      closeSync(file);
    },
  };
}

/** Adds the last death to those before; durable before anything is tried, so that none is missed. */
function countCrashes(folder: string, path: string): ReadonlyMap<MessageId, number> {
  const before = new Map(readCrashes(folder));
  const underWay = new Set(readOr(path, "").match(/[0-9a-f]{32}/g));
  const crashes = new Map([...underWay].map((id) => [id, (before.get(id) ?? 0) + 1]));
  keep(folder, crashes);
  return crashes;
}

function keep(folder: string, crashes: ReadonlyMap<MessageId, number>): void {
  const path = join(folder, "crashes");
  writeFileSync(`${path}.new`, JSON.stringify([...crashes]), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function readCrashes(folder: string): readonly (readonly [MessageId, number])[] {
  try {
    const read: unknown = JSON.parse(readOr(join(folder, "crashes"), "[]"));
    return Array.isArray(read) ? (read as (readonly [MessageId, number])[]) : [];
  } catch (error) {
    if (error instanceof SyntaxError) return []; // cut short: nobody is suspected
    throw error;
  }
}

function readOr(path: string, text: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return text;
    throw error;
  }
}
