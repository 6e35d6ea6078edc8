/** `postern status` and `postern measure`: how the running system is, and how fast it delivers. */

import type { Command } from "commander";
import type { DeliveryFigures } from "#assurance/measures";
import type { StoreStats } from "#contracts/store";
import { adminClient } from "../admin-client.ts";
import { exitCodes } from "../exit.ts";
import { localTime, textTable } from "../table.ts";
import { dataOf, output } from "./shared.ts";

interface Status {
  readonly hostname: string;
  readonly startedAtMs: number;
  readonly links: Readonly<Record<string, boolean>>;
  readonly queue: Readonly<Record<string, number>>;
  readonly store: StoreStats;
  readonly care: {
    readonly repaired: number;
    readonly damaged: number;
    readonly segments: number;
    readonly scrubbedThisWeek: number;
    readonly flushP99Seconds?: number;
  };
  readonly sealed: {
    readonly wire: { readonly versions: string; readonly untilMs: number };
    readonly rest: { readonly cipher: string; readonly master: string; readonly source: string };
  };
}

export function addMeasureCommands(program: Command): void {
  program
    .command("status")
    .description("links, store and queue of the running system; exit code 2 when a link is down")
    .action(async (_options, command: Command) => {
      const status = await adminClient(dataOf(command)).get<Status>("/status");
      output(command, status, () => statusText(status));
      if (Object.values(status.links).includes(false)) process.exitCode = exitCodes.findings;
    });
  program
    .command("measure")
    .description("delivery times of the three ways, since the hub started")
    .action(async (_options, command: Command) => {
      const figures = await adminClient(dataOf(command)).get<DeliveryFigures[]>("/measure");
      output(command, figures, () => figuresText(figures));
    });
}

function statusText(status: Status): string {
  const { hostname, startedAtMs, links, queue, store, care, sealed } = status;
  const { wire, rest } = sealed;
  const counts = Object.entries(queue).map(([state, count]) => `${count} ${state}`);
  return textTable([
    [hostname, `hub up since ${localTime(startedAtMs)}`],
    ...Object.entries(links).map(([name, up]) => [name, up ? "linked" : "LINK DOWN"]),
    ["store", `messages: ${store.messages}, accounts: ${store.accounts}`],
    [
      "",
      `${care.repaired} pages repaired, ${care.damaged} beyond repair, ${care.scrubbedThisWeek} of ${care.segments} segments found sound this week`,
    ],
    ["", `99 % of commits within ${secondsText(care.flushP99Seconds)}`],
    ["queue", counts.join(", ")],
    ["on the wire", `${wire.versions}, certificate until ${localTime(wire.untilMs)}`],
    ["at rest", `${rest.cipher} under the master key ${rest.master} (${rest.source})`],
  ]);
}

function figuresText(figures: readonly DeliveryFigures[]): string {
  return textTable([
    ["way", "messages", "half within", "95 % within"],
    ...figures.map(({ path, count, p50Seconds, p95Seconds }) => [
      path,
      String(count),
      secondsText(p50Seconds),
      secondsText(p95Seconds),
    ]),
  ]);
}

function secondsText(seconds: number | undefined): string {
  return seconds === undefined ? "-" : `${seconds.toFixed(3)} s`;
}
