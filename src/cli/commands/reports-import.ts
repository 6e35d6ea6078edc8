/** `postern reports import`: reports that came elsewhere, file by file; one that is none stops no other. */

import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { errorCode } from "#base/disk";
import { type AdminClient, adminClient } from "../admin-client.ts";
import { ExitError, exitCodes } from "../exit.ts";
import { dataOf, output } from "./shared.ts";

interface Imported {
  readonly file: string;
  readonly kept: number;
  readonly known: number;
  /** Why it, or a part of it, was not taken in. */
  readonly faults: readonly string[];
}

export function addImport(reports: Command): void {
  reports
    .command("import <file...>")
    .description("take in reports from files: mails, XML, JSON, gzip, zip")
    .action(async (files: readonly string[], _options, command: Command) => {
      const client = adminClient(dataOf(command));
      const results: Imported[] = [];
      for (const file of files) results.push(await takeIn(client, file));
      const unread = results.filter(({ faults }) => faults.length > 0);
      // What to look after stands at the end, where many files do not hide it.
      const inOrder = [...results.filter((one) => !unread.includes(one)), ...unread];
      output(command, results, () => inOrder.map(importedText).join("\n"));
      if (unread.length > 0) process.exitCode = exitCodes.findings;
    });
}

/** @throws ExitError when it is not about this file: nothing runs, or it is not permitted */
async function takeIn(client: AdminClient, file: string): Promise<Imported> {
  const unread = (why: string): Imported => ({ file, kept: 0, known: 0, faults: [why] });
  let octets: string;
  try {
    octets = readFileSync(file).toString("base64");
  } catch (error) {
    return unread(errorCode(error) ?? String(error));
  }
  try {
    const taken = await client.send<Omit<Imported, "file">>("POST", "/reports/import", { octets });
    return { file, ...taken };
  } catch (error) {
    // 400, for one that is too large, and 500.
    const isRefused = error instanceof ExitError && aboutOne.includes(error.code);
    if (!isRefused) throw error;
    return unread(error.message);
  }
}

const aboutOne: readonly number[] = [exitCodes.usage, exitCodes.failed];

function importedText({ file, kept, known, faults }: Imported): string {
  const parts = [`${kept} taken in`];
  if (known > 0) parts.push(`${known} known already`);
  for (const fault of faults) parts.push(`cannot be read: ${fault}`);
  return `${file}: ${parts.join(", ")}`;
}
