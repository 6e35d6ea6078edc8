/** Mail that people sent to each other in 2002, as tools/bootstrap.mjs fetches it (docs/decisions/0020). */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const folder = join(import.meta.dirname, "../../node_modules/.real-mail");

/** Why there is none here, or false. */
export const noRealMail: string | false = existsSync(join(folder, ".fetched"))
  ? false
  : "needs the real mail that tools/bootstrap.mjs fetches";

export interface RealMail {
  /** "00001.7c53…": stays the same. */
  readonly name: string;
  /** As it lies in a mailbox: behind a "From " line, with the line ends of Unix. */
  readonly path: string;
  /** As it came over the wire: lines end in CRLF. */
  readonly octets: Buffer;
}

export function realMail(count: number): readonly RealMail[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(".txt"));
  return names
    .sort()
    .slice(0, count)
    .map((file) => {
      const path = join(folder, file);
      const text = readFileSync(path, "latin1").replace(/^From .*\n/, "");
      const octets = Buffer.from(text.replaceAll(/\r?\n/g, "\r\n"), "latin1");
      return { name: file.slice(0, -4), path, octets };
    });
}
