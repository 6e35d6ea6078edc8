/** `postern store`: check, repair, rebuild and count, on the running system or on stopped files. */

import type { Command } from "commander";
import { realDisk } from "#base/disk";
import type { StoreStats } from "#contracts/store";
import { type NamedReport, nameMail, rebuildIndex, verifyStore } from "#store";
import { adminClient } from "../admin-client.ts";
import { exitCodes, say } from "../exit.ts";
import { textTable } from "../table.ts";
import { dataOf, longMs, output } from "./shared.ts";
import { isRunning, masterOf, partsOf, stoppedStore, storeFolder } from "./stopped-store.ts";
import { addSalvageCommand } from "./store-salvage.ts";
import { addScrubCommands } from "./store-scrub.ts";

interface ErasureReport {
  readonly epochs: number;
  readonly contents: number;
  readonly kept: number;
}

interface CompactionReport {
  readonly segments: number;
  readonly freedBytes: number;
  readonly findings: readonly { readonly file: string; readonly page: number }[];
}

interface RekeyReport {
  readonly master: string;
  readonly retired: readonly string[];
  readonly held: readonly string[];
}

const examples = `
Examples:
  postern store health                    what was repaired, and what could not be
  postern store scrub --now --rate 50     read, check and repair everything, at 50 MB/s
  postern store verify                    the same without writing anything
  postern store repair                    on stopped files, when Postern does not start
  postern store salvage --to saved        every message that can be read, as files
  postern store compact                   give back the room of erased mail
  postern store rekey --retire            a new master key; the old one is destroyed

Exit code 2: something is damaged beyond repair. What could be repaired is no finding.`;

export function addStoreCommands(program: Command): void {
  const store = program
    .command("store")
    .description("the ledger that holds everything")
    .addHelpText("after", examples);
  addScrubCommands(store);
  store
    .command("verify")
    .description("read every page and record and check them; reads only")
    .action(async (_options, command: Command) => {
      const report = await verified(command);
      output(command, report, () => reportText(report));
      if (report.damages.length > 0) process.exitCode = exitCodes.findings;
    });
  addSalvageCommand(store);
  store
    .command("rebuild")
    .description("make the index anew from the ledger (stopped)")
    .action(async (_options, command: Command) => {
      const directory = storeFolder(command);
      // A hub that runs has the index open: replaced under it, the two would part ways.
      await using _lock = await stoppedStore(directory);
      const startedAt = performance.now();
      say("Rebuilding the index ...");
      await using master = await masterOf(command);
      const { indexPath } = partsOf(command, master);
      const records = await rebuildIndex(realDisk, directory, indexPath, master);
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
      output(command, { records }, () => `index made from ${records} records in ${seconds} s`);
    });
  addRunning(store);
}

/** What only the running system does. */
function addRunning(store: Command): void {
  const post = <Report>(command: Command, path: string, body?: object): Promise<Report> =>
    adminClient(dataOf(command), longMs).send<Report>("POST", path, body);
  store
    .command("erase")
    .description("destroy now what was deleted; without this it happens within days")
    .action(async (_options, command: Command) => {
      const report = await post<ErasureReport>(command, "/store/erase");
      output(command, report, () => `${report.contents} messages destroyed for good`);
    });
  store
    .command("compact")
    .description("give back the room of what was erased; happens by itself after each erasure")
    .option("--all", "also where it is little")
    .action(async ({ all }: { all?: true }, command: Command) => {
      const wish = { all: all === true };
      const report = await post<CompactionReport>(command, "/store/compact", wish);
      output(command, report, () => compactionText(report));
      if (report.findings.length > 0) process.exitCode = exitCodes.findings;
    });
  store
    .command("rekey")
    .description("seal the store's key under a new master key")
    .option("--retire", "destroy the old master keys: copies of the store made before are lost")
    .action(async ({ retire }: { retire?: true }, command: Command) => {
      const wish = { retire: retire === true };
      const report = await post<RekeyReport>(command, "/store/rekey", wish);
      output(command, report, () => rekeyText(report));
    });
  store
    .command("stats")
    .description("sizes and counts of the running store")
    .action(async (_options, command: Command) => {
      const stats = await adminClient(dataOf(command)).get<StoreStats>("/store/stats");
      output(command, stats, () => countsText(stats));
    });
}

async function verified(command: Command): Promise<NamedReport> {
  if (await isRunning(command)) {
    return adminClient(dataOf(command), longMs).send<NamedReport>("POST", "/store/verify");
  }
  await using master = await masterOf(command);
  const { disk, directory, indexPath } = partsOf(command, master);
  return await verifyStore(disk, directory, master, indexPath);
}

function countsText(counts: object): string {
  return textTable(Object.entries(counts).map(([name, value]) => [name.padEnd(16), `${value}`]));
}

function reportText({ damages, mail, ...counts }: NamedReport): string {
  const named = new Map(mail.map((one) => [one.message, nameMail(one)]));
  const places = damages.flatMap(({ file, page, what, messages }) => [
    `DAMAGED ${file} page ${page}: ${what}`,
    ...messages.map((one) => textTable([[`  ${named.get(one) ?? one}`]])),
  ]);
  return [countsText(counts), ...(places.length > 0 ? places : ["no damage found"])].join("\n");
}

function compactionText({ segments, freedBytes, findings }: CompactionReport): string {
  const damaged = findings.map(
    ({ file, page }) => `LEFT AS IT IS: ${file}, page ${page} is damaged`,
  );
  const mib = (freedBytes / 1_048_576).toFixed(1);
  return [`${segments} segments compacted, ${mib} MiB given back`, ...damaged].join("\n");
}

function rekeyText({ master, retired, held }: RekeyReport): string {
  return [
    `the store's key is sealed under the master key ${master}`,
    ...retired.map((id) => `destroyed: ${id}`),
    ...held.map((id) => `still held: ${id}`),
  ].join("\n");
}
