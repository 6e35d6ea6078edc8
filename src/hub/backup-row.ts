/** What the console says of backups: the last good one and the last drill, with their age. */

import type { BackupState } from "./backups.ts";
import type { HealthRow } from "./console-page.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const question = "Is there a backup?";

export function backupRow(state: BackupState, nowMs: number): HealthRow {
  const { target, lastBackup, lastGoodBackup, lastGoodDrill, lastDrill } = state;
  if (lastGoodBackup === undefined) {
    const answer = target === undefined ? "none is set up" : "none has been made yet";
    const why = lastBackup?.reason === undefined ? "" : `: ${lastBackup.reason}`;
    return {
      question,
      state: lastBackup === undefined ? "caution" : "danger",
      answer: answer + why,
    };
  }
  const parts = [`the last was made ${ageOf(nowMs - lastGoodBackup.atMs)} ago`];
  parts.push(
    lastGoodDrill === undefined
      ? "none was ever restored on trial"
      : `one was restored on trial ${ageOf(nowMs - lastGoodDrill.atMs)} ago, in ${lastGoodDrill.seconds} s`,
  );
  const isLate = nowMs - lastGoodBackup.atMs > 2 * state.everyHours * hourMs;
  const hasFailed = lastBackup?.ok === false || lastDrill?.ok === false;
  const reason = lastDrill?.ok === false ? lastDrill.reason : lastBackup?.reason;
  if (hasFailed) parts.push(`the last try failed: ${reason ?? "nobody knows why"}`);
  const sinceDrillMs = nowMs - (lastGoodDrill?.atMs ?? Number.NEGATIVE_INFINITY);
  const isUntried = sinceDrillMs > 2 * state.drillDays * dayMs;
  const answer = parts.join("; ");
  if (hasFailed || (isLate && target !== undefined)) return { question, state: "danger", answer };
  return { question, state: isUntried || isLate ? "caution" : "good", answer };
}

function ageOf(ms: number): string {
  if (ms < 2 * hourMs) return `${Math.max(0, Math.round(ms / 60_000))} minutes`;
  if (ms < 2 * dayMs) return `${Math.round(ms / hourMs)} hours`;
  return `${Math.round(ms / dayMs)} days`;
}
