/** Secrets come from standard input, never from a flag that others can see. */

import { createInterface } from "node:readline";
import { ExitError, exitCodes } from "./exit.ts";

const maxLength = 1024;

/** One line; on a terminal it is asked for and not shown. */
export async function readSecretLine(question: string): Promise<string> {
  const { stdin, stderr } = process;
  const onTerminal = stdin.isTTY;
  if (onTerminal) stderr.write(question);
  // Without an output the line editor echoes nothing.
  const lines = createInterface({ input: stdin, terminal: onTerminal });
  try {
    for await (const line of lines) {
      if (line.length === 0 || line.length > maxLength) break;
      return line;
    }
  } finally {
    lines.close();
    if (onTerminal) stderr.write("\n");
  }
  throw new ExitError(exitCodes.usage, "a line with the password is expected on standard input");
}
