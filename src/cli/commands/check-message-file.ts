/** A message as it lies in a file: what programs did to it when they put it there is undone. */

import { Buffer } from "node:buffer";
import { createReadStream } from "node:fs";
import { ExitError, exitCodes } from "../exit.ts";

/** Ours: the same as the longest message that a default installation takes. */
export const maxMessageBytes: number = 50 * 1024 * 1024;

const causes: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "it is a folder",
  EACCES: "it may not be read",
};

/** @param file "-" is standard input */
export async function readMessageFile(file: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  try {
    for await (const piece of file === "-" ? process.stdin : createReadStream(file)) {
      pieces.push(piece as Buffer);
      size += (piece as Buffer).length;
      if (size > maxMessageBytes) break;
    }
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    throw new ExitError(exitCodes.cannotOpen, `${file}: ${causes[code] ?? message}`);
  }
  if (size > maxMessageBytes) {
    throw new ExitError(exitCodes.cannotOpen, `${file}: it is larger than any message`);
  }
  return asSent(Buffer.concat(pieces));
}

/** "From bounces@example.net Thu Aug 22 12:36:23 2002", which mailboxes put before a message. */
const mailboxLine = /^From [^\r\n]{1,400}\d\d:\d\d:\d\d[^\r\n:]{1,40}\r?\n/;

/** Without the line of a mailbox, and with the line ends of mail where all are those of Unix. */
function asSent(octets: Buffer): Buffer {
  const before = mailboxLine.exec(octets.toString("latin1", 0, 500))?.[0].length ?? 0;
  const message = octets.subarray(before);
  return message.includes("\r\n")
    ? message
    : Buffer.from(message.toString("latin1").replaceAll("\n", "\r\n"), "latin1");
}
