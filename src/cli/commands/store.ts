/** `postern store`: check, rebuild and count, on the running system or on stopped files. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { realDisk } from "#base/disk";
import { Misconfigured } from "#base/errors";
import type { StoreStats } from "#contracts/store";
import { rebuildIndex, socketLock, verifyStore } from "#store";
import { adminClient } from "../admin-client.ts";
import { ExitError, exitCodes, say } from "../exit.ts";
import { layoutOf } from "../up/layout.ts";
import { dataOf, output } from "./shared.ts";

export function addStoreCommands(program: Command): void {
  const store = program.command("store").description("the ledger that holds everything");
  store
    .command("verify")
    .description("read every page and record and check them; reads only")
    .action(async (_options, command: Command) => {
      const report = await verifyStore(realDisk, folderOf(command));
      output(command, report, () => reportText(report));
      if (report.damages.length > 0) process.exitCode = exitCodes.findings;
    });
  store
    .command("rebuild")
    .description("make the index anew from the ledger (stopped)")
    .action(async (_options, command: Command) => {
      const directory = folderOf(command);
      // A hub that runs has the index open: replaced under it, the two would part ways.
      await using _lock = await stoppedStore(directory);
      const startedAt = performance.now();
      say("Rebuilding the index ...");
      const indexPath = join(directory, "index.sqlite");
      const records = await rebuildIndex(realDisk, directory, indexPath);
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
      output(command, { records }, () => `index made from ${records} records in ${seconds} s`);
    });
  store
    .command("stats")
    .description("sizes and counts of the running store")
    .action(async (_options, command: Command) => {
      const stats = await adminClient(dataOf(command)).get<StoreStats>("/store/stats");
      output(command, stats, () =>
        Object.entries(stats)
          .map(([name, value]) => `${name.padEnd(16)} ${value}`)
          .join("\n"),
      );
    });
}

function folderOf(command: Command): string {
  const { store } = layoutOf(dataOf(command));
  if (!existsSync(store))
    throw new ExitError(exitCodes.cannotOpen, `${store}: there is no store here`);
  return store;
}

async function stoppedStore(directory: string): Promise<AsyncDisposable> {
  try {
    return await socketLock(directory);
  } catch (error) {
    if (!(error instanceof Misconfigured)) throw error;
    throw new ExitError(exitCodes.tryAgain, `${directory} is in use: stop Postern first`);
  }
}

function reportText(report: Awaited<ReturnType<typeof verifyStore>>): string {
  const { damages, ...counts } = report;
  const places = damages.map(
    ({ file, page, what, messages }) =>
      `DAMAGED ${file} page ${page}: ${what}${messages.length > 0 ? `; messages ${messages.join(" ")}` : ""}`,
  );
  return [
    ...Object.entries(counts).map(([name, value]) => `${name.padEnd(16)} ${value}`),
    ...(places.length > 0 ? places : ["no damage found"]),
  ].join("\n");
}
