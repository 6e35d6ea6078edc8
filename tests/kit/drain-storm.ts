/**
 * Stops a whole installation with SIGTERM while mail flows, starts it again, and checks that whatever
 * was acknowledged with 250 is in the mailbox exactly once (catalogue V6).
 *
 *   node tests/kit/drain-storm.ts --drains 100 [--senders 4] [--seed 1] [--spool sealed]
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { seededRandom } from "#base/random";
import { startInstallation } from "./installation.ts";
import { mailboxMarkers } from "./mailbox-markers.ts";
import { plainMessage, sendMail } from "./smtp-dialogue.ts";

export interface DrainOptions {
  readonly drains: number;
  readonly senders: number;
  readonly seed: number;
  readonly config?: string;
  readonly report?: (text: string) => void;
}

export interface DrainResult {
  readonly drains: number;
  readonly acknowledged: number;
  readonly lost: readonly string[];
  readonly doubled: readonly string[];
  /** How long each stop took. */
  readonly seconds: readonly number[];
  readonly exitCodes: readonly (number | null)[];
}

const body = "x".repeat(70).concat("\r\n").repeat(300);

export async function drainStorm(options: DrainOptions): Promise<DrainResult> {
  const data = mkdtempSync(join(tmpdir(), "drain-"));
  const random = seededRandom(options.seed);
  const acknowledged: string[] = [];
  const seconds: number[] = [];
  const exitCodes: (number | null)[] = [];
  const start = () =>
    startInstallation({ data, ...(options.config !== undefined && { config: options.config }) });
  try {
    for (let nth = 0; nth < options.drains; nth += 1) {
      const installation = await start();
      const { smtp, accounts } = installation.ready();
      const to = accounts[0]?.address ?? "";
      let running = true;
      const senders = Array.from({ length: options.senders }, async (_, sender) => {
        for (let each = 0; running; each += 1) {
          const marker = `d${options.seed}-${nth}-${sender}-${each}@drain.example`;
          const octets = plainMessage({ from: "a@localhost", to, marker, body });
          const mail = { from: "a@localhost", to: [to], octets };
          const reply = await sendMail(smtp, mail).catch(() => undefined);
          if (reply?.startsWith("250")) acknowledged.push(marker);
          else await pause(5);
        }
      });
      await pause(300 + random.fraction() * 700);
      const begin = performance.now();
      exitCodes.push(await installation.stop());
      seconds.push((performance.now() - begin) / 1000);
      running = false;
      await Promise.all(senders);
      if ((nth + 1) % 10 === 0) options.report?.(`${nth + 1} drains, ${acknowledged.length} kept`);
    }
    await using last = await start();
    const found = await mailboxMarkers(last.ready(), 0, () => true);
    return {
      drains: options.drains,
      acknowledged: acknowledged.length,
      lost: acknowledged.filter((marker) => !found.has(marker)),
      doubled: [...found].filter(([, { count }]) => count > 1).map(([marker]) => marker),
      ...{ seconds, exitCodes },
    };
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      drains: { type: "string", default: "100" },
      senders: { type: "string", default: "4" },
      seed: { type: "string", default: "1" },
      spool: { type: "string", default: "reject" },
    },
  });
  const result = await drainStorm({
    drains: Number(values.drains),
    senders: Number(values.senders),
    seed: Number(values.seed),
    config: `[link]\nspool = "${values.spool}"\n`,
    report: (text) => console.error(text),
  });
  console.log(JSON.stringify({ ...result, seconds: Math.max(...result.seconds) }, null, 2));
  if (result.lost.length + result.doubled.length > 0) process.exitCode = 1;
}
