/** Looks into the memory of a running process, as somebody would who took the machine. */

import { closeSync, openSync, readFileSync, readSync } from "node:fs";

const chunkBytes = 8 * 1024 * 1024;
/** No text that is looked for is longer. */
const overlapBytes = 1024;

/**
 * Which of the texts are in memory that the process may write, as UTF-8 or UTF-16 octets.
 *
 * @returns undefined where the system lets nobody look
 */
export function memoryHolds(pid: number, texts: readonly string[]): string[] | undefined {
  const wanted = texts.map((text) => ({
    text,
    forms: [Buffer.from(text, "utf8"), Buffer.from(text, "utf16le")],
  }));
  const found = new Set<string>();
  let memory: number;
  try {
    memory = openSync(`/proc/${pid}/mem`, "r");
  } catch {
    return undefined;
  }
  const chunk = Buffer.alloc(chunkBytes);
  try {
    for (const [from, to] of writable(pid)) {
      for (let at = from; at < to; at += chunkBytes - overlapBytes) {
        const octets = chunk.subarray(0, readAt(memory, chunk, at, Math.min(chunkBytes, to - at)));
        for (const { text, forms } of wanted) {
          if (forms.some((form) => octets.includes(form))) found.add(text);
        }
      }
    }
  } finally {
    closeSync(memory);
  }
  return texts.filter((text) => found.has(text));
}

function writable(pid: number): [from: number, to: number][] {
  const lines = readFileSync(`/proc/${pid}/maps`, "utf8").split("\n");
  return lines.flatMap((line): [number, number][] => {
    const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
    if (from === undefined || to === undefined) return [];
    return [[Number.parseInt(from, 16), Number.parseInt(to, 16)]];
  });
}

/** A page that went away meanwhile, or that may not be read, holds nothing. */
function readAt(memory: number, into: Buffer, at: number, sizeBytes: number): number {
  try {
    return readSync(memory, into, 0, sizeBytes, at);
  } catch {
    return 0;
  }
}
