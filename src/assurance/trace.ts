/** One message's story as an administrator reads it, and as a program does. */

import type { Trace, TraceStep } from "#model/trace";

/** Widest column before the text, so that one odd word does not push all texts aside. */
const maxColumn = 16;

/** Plain lines: facts, then each step with its time since the first. Ends with a line feed. */
export function formatTrace(trace: Trace): string {
  const facts = [
    ["message", trace.id],
    ["when", timeOf(trace.atMs)],
    ["direction", trace.direction],
    ["status", trace.status],
    ["from", trace.from === "" ? "<> (null reverse path)" : trace.from],
    ...trace.to.map((recipient, index) => [index === 0 ? "to" : "", recipient]),
    ...(trace.messageIdHeader === undefined ? [] : [["Message-ID", trace.messageIdHeader]]),
    ["size", `${trace.sizeBytes} bytes`],
  ].map(([name = "", value = ""]) => `${name.padEnd(11)}${oneLine(value)}`);
  return `${[...facts, "", ...stepLines(trace.steps)].join("\n")}\n`;
}

/** For `--json`: the trace with its moments also as text and as milliseconds since the first step. */
export function traceToJson(trace: Trace): object {
  const startMs = trace.steps[0]?.atMs ?? trace.atMs;
  return {
    ...trace,
    at: timeOf(trace.atMs),
    steps: trace.steps.map((step) => ({
      ...step,
      at: timeOf(step.atMs),
      sinceMs: step.atMs - startMs,
    })),
  };
}

function stepLines(steps: readonly TraceStep[]): string[] {
  const startMs = steps[0]?.atMs ?? 0;
  const rows = steps.map((step) => ({
    since: sinceText(step.atMs - startMs),
    program: oneLine(step.program),
    step: oneLine(step.step),
    text: oneLine(step.text),
  }));
  const width = (of: (row: (typeof rows)[number]) => string): number =>
    Math.min(maxColumn, Math.max(0, ...rows.map((row) => of(row).length)));
  const [since, program, step] = [
    width((row) => row.since),
    width((row) => row.program),
    width((row) => row.step),
  ];
  return rows.map((row) =>
    [row.since.padStart(since), row.program.padEnd(program), row.step.padEnd(step), row.text]
      .join("  ")
      .trimEnd(),
  );
}

/** "+0.042 s" as long as it is short, then "+4 h 05 min", "+2 d 03 h". */
function sinceText(sinceMs: number): string {
  const sign = sinceMs < 0 ? "-" : "+";
  const seconds = Math.abs(sinceMs) / 1000;
  if (seconds < 100) return `${sign}${seconds.toFixed(3)} s`;
  const minutes = Math.floor(seconds / 60);
  const two = (value: number): string => String(value).padStart(2, "0");
  if (minutes < 60) return `${sign}${minutes} min ${two(Math.floor(seconds % 60))} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${sign}${hours} h ${two(minutes % 60)} min`;
  return `${sign}${Math.floor(hours / 24)} d ${two(hours % 24)} h`;
}

function timeOf(atMs: number): string {
  const date = new Date(atMs);
  return Number.isNaN(date.getTime()) ? "unknown" : date.toISOString();
}

/** Remote servers write parts of a trace: nothing that moves a terminal's cursor gets through. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ");
}
