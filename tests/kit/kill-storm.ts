/**
 * Kills programs at random moments under load and checks that whatever was acknowledged with 250 is
 * in the mailbox exactly once (catalogue D7).
 *
 *   node tests/kit/kill-storm.ts --kills 1000 [--programs edge-smtp,edge-web,hub,keyring] [--seed N]
 */

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { seededRandom } from "#base/random";
import { type Installation, startInstallation } from "./installation.ts";
import { mailboxMarkers } from "./mailbox-markers.ts";
import { plainMessage, sendMail } from "./smtp-dialogue.ts";

export const allPrograms = ["edge-smtp", "edge-web", "hub", "keyring"] as const;
export type ProgramName = (typeof allPrograms)[number];

export interface StormOptions {
  /** Kills of each program. */
  readonly kills: number;
  readonly programs: readonly ProgramName[];
  readonly seed: number;
  readonly senders: number;
  /** Longest wait between two kills of one program. */
  readonly pauseMs: number;
  readonly config?: string;
  readonly report?: (text: string) => void;
}

export interface StormResult {
  readonly kills: number;
  readonly acknowledged: number;
  readonly unacknowledged: number;
  readonly lost: readonly string[];
  readonly doubled: readonly string[];
  readonly damaged: readonly string[];
  readonly seconds: number;
}

export async function killStorm(options: StormOptions): Promise<StormResult> {
  const startedAt = performance.now();
  await using installation = await startInstallation(
    options.config === undefined ? {} : { config: options.config },
  );
  const { smtp, accounts } = installation.ready();
  const to = accounts[0]?.address ?? "";
  const sent = new Map<string, "acknowledged" | "unknown">();
  const random = seededRandom(options.seed);
  let running = true;
  let acknowledged = 0;
  const senders = Array.from({ length: options.senders }, async (_, sender) => {
    for (let nth = 0; running; nth += 1) {
      const marker = `s${options.seed}-${sender}-${nth}@storm.example`;
      sent.set(marker, "unknown");
      const octets = plainMessage({ from: "a@localhost", to, marker, body: bodyOf(marker) });
      const reply = await sendMail(smtp, { from: "a@localhost", to: [to], octets }).catch(
        () => undefined,
      );
      if (reply?.startsWith("250")) {
        sent.set(marker, "acknowledged");
        acknowledged += 1;
      }
      // A door that is down answers at once: no need to hammer it.
      else await pause(20);
    }
  });
  let kills = 0;
  // Each program has its own killer, so that they also die while others are coming back.
  const killers = options.programs.map(async (program) => {
    for (let nth = 0; nth < options.kills; nth += 1) {
      await untilAnother(() => acknowledged);
      await pause(random.fraction() * options.pauseMs);
      await killOne(installation, program);
      kills += 1;
      if (kills % 100 === 0) options.report?.(`${kills} kills, ${sent.size} messages`);
    }
  });
  await Promise.all(killers);
  running = false;
  await Promise.all(senders);
  await untilHealthy(installation);
  // What waits sealed at the edge arrives when the links are back: it has a minute.
  for (const deadlineMs = Date.now() + 60_000; ; ) {
    const found = await mailboxMarkers(installation.ready(), 0, isWhole);
    const result = judge(sent, found, kills, (performance.now() - startedAt) / 1000);
    if (result.lost.length === 0 || Date.now() > deadlineMs) return result;
    await pause(500);
  }
}

/** Waits until mail flows again, so that on a busy machine too each kill has something to lose. */
async function untilAnother(acknowledged: () => number): Promise<void> {
  const before = acknowledged();
  for (const deadlineMs = Date.now() + 20_000; acknowledged() === before; ) {
    if (Date.now() > deadlineMs) return;
    await pause(10);
  }
}

function isWhole(marker: string, body: string): boolean {
  return body.trimEnd() === bodyOf(marker).trimEnd();
}

/** Between 1 and some 40 KB, different for each message, and known from its marker. */
function bodyOf(marker: string): string {
  const line = createHash("sha256").update(marker).digest("hex");
  const lines = 1 + (Number.parseInt(line.slice(0, 4), 16) % 600);
  return `${line}\r\n`.repeat(lines);
}

/** Resolves when the program runs again. */
async function killOne(installation: Installation, program: ProgramName): Promise<void> {
  const pid = await runningPid(installation, program, 0);
  process.kill(pid, "SIGKILL");
  await runningPid(installation, program, pid);
}

/** Resolves when all programs, which died at the same moment, run again. */
export async function killAll(installation: Installation): Promise<void> {
  const pids = await Promise.all(allPrograms.map((name) => runningPid(installation, name, 0)));
  for (const pid of pids) process.kill(pid, "SIGKILL");
  await Promise.all(allPrograms.map((name, at) => runningPid(installation, name, pids[at] ?? 0)));
}

/** The program's pid, as soon as it has one other than the dead one's. */
async function runningPid(
  installation: Installation,
  program: ProgramName,
  dead: number,
): Promise<number> {
  const deadlineMs = Date.now() + 20_000;
  for (;;) {
    const pid = installation.ready().pids[program];
    if (pid !== undefined && pid !== dead && existsSync(`/proc/${pid}`)) return pid;
    if (Date.now() > deadlineMs) {
      throw new Error(
        `${program} was not started again (up: ${installation.supervisor.exitCode}):\n${installation.log().slice(-4000)}`,
      );
    }
    await pause(10);
  }
}

export async function untilHealthy(installation: Installation): Promise<void> {
  const { console: door } = installation.ready();
  const deadlineMs = Date.now() + 60_000;
  for (;;) {
    const answer = await fetch(`${door.url}/readyz`).catch(() => undefined);
    if (answer?.ok) return;
    if (Date.now() > deadlineMs)
      throw new Error(`not healthy again:\n${installation.log().slice(-4000)}`);
    await pause(100);
  }
}

function judge(
  sent: ReadonlyMap<string, "acknowledged" | "unknown">,
  found: ReadonlyMap<string, { readonly count: number; readonly whole: boolean }>,
  kills: number,
  seconds: number,
): StormResult {
  const acknowledged = [...sent].filter(([, state]) => state === "acknowledged");
  return {
    kills,
    acknowledged: acknowledged.length,
    unacknowledged: sent.size - acknowledged.length,
    lost: acknowledged.filter(([marker]) => !found.has(marker)).map(([marker]) => marker),
    doubled: [...found].filter(([, one]) => one.count > 1).map(([marker]) => marker),
    damaged: [...found].filter(([, one]) => !one.whole).map(([marker]) => marker),
    seconds,
  };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "1000" },
      programs: { type: "string", default: allPrograms.join(",") },
      seed: { type: "string", default: "1" },
      senders: { type: "string", default: "4" },
      pause: { type: "string", default: "1500" },
      spool: { type: "string", default: "reject" },
    },
  });
  const result = await killStorm({
    kills: Number(values.kills),
    programs: values.programs.split(",") as ProgramName[],
    seed: Number(values.seed),
    senders: Number(values.senders),
    pauseMs: Number(values.pause),
    config: `[link]\nspool = "${values.spool}"\n`,
    report: (text) => console.error(text),
  });
  console.log(JSON.stringify(result, null, 2));
  if (result.lost.length + result.doubled.length + result.damaged.length > 0) process.exitCode = 1;
}
