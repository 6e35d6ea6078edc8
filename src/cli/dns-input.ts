/** Texts that a command reads: a file, or standard input for "-". */

import { open } from "node:fs/promises";
import { errorCode } from "#base/disk";
import { ExitError, exitCodes } from "./exit.ts";

/** Ours: more than anybody needs to say, and no trouble to hold. */
const maxBytes = 16 * 1024 * 1024;

/** @throws ExitError when it cannot be read or is too long */
export async function readInput(path: string): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    await using file = path === "-" ? undefined : await open(path);
    for await (const chunk of file?.createReadStream() ?? process.stdin) {
      const octets = Buffer.from(chunk as Buffer);
      length += octets.length;
      if (length > maxBytes) break;
      chunks.push(octets);
    }
  } catch (error) {
    throw new ExitError(exitCodes.cannotOpen, `${path}: ${errorCode(error) ?? "cannot be read"}`);
  }
  if (length > maxBytes) throw new ExitError(exitCodes.usage, `${path} is too long`);
  return Buffer.concat(chunks).toString("utf8");
}
