/** `postern store scrub`, `repair` and `health`: everything read, and what is bad made good. */

import type { Command } from "commander";
import {
  Damaged,
  nameMail,
  openStore,
  type ScrubReport,
  type ScrubResult,
  type ScrubTold,
  type StoreHealth,
  scrubAll,
  scrubFiles,
} from "#store";
import { adminClient } from "../admin-client.ts";
import { ExitError, exitCodes, say } from "../exit.ts";
import { progressOn } from "../progress.ts";
import { localTime, textTable } from "../table.ts";
import { dataOf, longMs, output, untilInterrupted } from "./shared.ts";
import { isRunning, masterOf, partsOf, stoppedStore } from "./stopped-store.ts";

const mebibyte = 1_048_576;

export function addScrubCommands(store: Command): void {
  store
    .command("scrub")
    .description("how the scrub stands; with --now read, check and repair everything")
    .option("--now", "everything, now; exit code 2 when something is beyond repair")
    .option("--rate <MB/s>", "read no faster")
    .action(async (options: { now?: true; rate?: string }, command: Command) => {
      if (options.now === undefined) {
        if (options.rate !== undefined) {
          throw new ExitError(exitCodes.usage, "--rate goes with --now");
        }
        return showHealth(command);
      }
      const rate = options.rate === undefined ? {} : { bytesPerSecond: rateOf(options.rate) };
      showReport(command, await told((progress) => scrubInHub(command, rate, progress)));
    });
  store
    .command("repair")
    .description("the same as scrub --now, on the running system or on stopped files")
    .action(async (_options, command: Command) => {
      const isUp = await isRunning(command);
      const repair = isUp ? scrubInHub : scrubStopped;
      showReport(command, await told((progress) => repair(command, {}, progress)));
    });
  store
    .command("health")
    .description("what was repaired, what is beyond repair and whose mail it is")
    .action((_options, command: Command) => showHealth(command));
}

function rateOf(text: string): number {
  const rate = Number(text);
  if (/^\d{1,5}(\.\d{1,3})?$/.test(text) && rate > 0) return Math.ceil(rate * mebibyte);
  throw new ExitError(exitCodes.usage, `--rate "${text}" is not a number of MB a second`);
}

type Told = Required<Pick<ScrubTold, "onProgress" | "onSegment">>;

async function told(work: (to: Told) => Promise<ScrubReport>): Promise<ScrubReport> {
  const progress = progressOn(process.stderr, "read");
  try {
    return await work({
      onProgress: progress.tell,
      onSegment: ({ segment, pages, repaired, damaged }) => {
        progress.end();
        const counts = `${repaired.length} repaired, ${damaged.length} beyond repair`;
        say(`segment ${segment}: ${pages} pages read, ${counts}`);
      },
    });
  } finally {
    progress.end();
  }
}

function scrubInHub(
  command: Command,
  wish: { readonly bytesPerSecond?: number },
  { onProgress, onSegment }: Told,
): Promise<ScrubReport> {
  const client = adminClient(dataOf(command), longMs);
  return client.lines<ScrubReport>("/store/scrub", wish, ({ done, of, part }) => {
    if (done !== undefined && of !== undefined) onProgress(done, of);
    if (part !== undefined) onSegment(part as ScrubResult);
  });
}

async function scrubStopped(command: Command, _wish: object, to: Told): Promise<ScrubReport> {
  await using master = await masterOf(command);
  const parts = partsOf(command, master);
  const options = { ...to, signal: untilInterrupted() };
  try {
    await using opened = await openStore(parts);
    return await scrubAll(opened, options);
  } catch (error) {
    if (!(error instanceof Damaged)) throw error;
    say(`No store opens on these files (${error.message}): each file is repaired by itself.`);
  }
  await using _lock = await stoppedStore(parts.directory);
  return await scrubFiles(parts, options);
}

function showReport(command: Command, report: ScrubReport): void {
  const { segments, pages, repaired, damaged } = report;
  output(command, report, () =>
    [
      `${pages} pages in ${segments} segments read and checked, ${repaired.length} repaired`,
      ...repaired.map(({ file, page, how }) => `repaired ${file} page ${page} by its ${how}`),
      ...findingLines(damaged),
    ].join("\n"),
  );
  if (damaged.length > 0) process.exitCode = exitCodes.findings;
}

async function showHealth(command: Command): Promise<void> {
  const health = await adminClient(dataOf(command)).get<StoreHealth>("/store/health");
  output(command, health, () => healthText(health));
  if (health.damaged.length > 0) process.exitCode = exitCodes.findings;
}

function healthText(health: StoreHealth): string {
  const { bit, copy, parity } = health.repairedBy;
  const oldest = health.oldestScrubMs;
  return [
    textTable([
      ["sound this week", `${health.scrubbedThisWeek} of ${health.segments} segments`],
      ["oldest scrub", oldest === undefined ? "some were never read" : localTime(oldest)],
      ["without parity", String(health.withoutParity)],
      ["repaired", `${health.repaired} pages, ${health.repairedThisWeek} this week`],
      ["of those", `${bit} by one bit, ${copy} from the second copy, ${parity} from parity`],
    ]),
    ...findingLines(health.damaged),
  ].join("\n");
}

function guardText(file: string, messages: number): string {
  if (!file.startsWith("segment")) return "; it only guards the segment";
  return messages === 0 ? "; no message is on it" : "";
}

function findingLines(damaged: ScrubReport["damaged"]): string[] {
  if (damaged.length === 0) return ["nothing is beyond repair"];
  return damaged.flatMap(({ file, page, what, mail }) => [
    `BEYOND REPAIR ${file} page ${page}: ${what}${guardText(file, mail.length)}`,
    ...textTable(mail.map((one) => [`  ${nameMail(one)}`]))
      .split("\n")
      .filter((line) => line !== ""),
  ]);
}
