/**
 * Many senders at once, in a process of their own, each with one message after the other until the
 * time is up; prints what was acknowledged and how often each code was heard, as one JSON line.
 *
 *   node tests/kit/smtp-crowd.ts PORT RECIPIENT SENDERS SECONDS
 */

import { execFile } from "node:child_process";
import { plainMessage, sendMail } from "./smtp-dialogue.ts";

export interface CrowdResult {
  readonly acknowledged: readonly string[];
  /** By code; "none" when the connection broke. */
  readonly codes: Readonly<Record<string, number>>;
}

export function smtpCrowd(
  port: number,
  recipient: string,
  senders: number,
  seconds: number,
): Promise<CrowdResult> {
  const args = [import.meta.filename, port, recipient, senders, seconds].map(String);
  const options = { maxBuffer: 64 * 1024 * 1024 };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, options, (error, stdout) => {
      if (error === null) resolve(JSON.parse(stdout) as CrowdResult);
      else reject(error);
    });
  });
}

const body = "y".repeat(70).concat("\r\n").repeat(250);

async function run(port: number, to: string, senders: number, seconds: number): Promise<void> {
  const untilMs = performance.now() + seconds * 1000;
  const acknowledged: string[] = [];
  const codes: Record<string, number> = {};
  const sender = async (_: unknown, nth: number): Promise<void> => {
    for (let each = 0; performance.now() < untilMs; each += 1) {
      const marker = `c${nth}-${each}@crowd.example`;
      const octets = plainMessage({ from: "a@localhost", to, marker, body });
      const mail = { from: "a@localhost", to: [to], octets };
      const reply = await sendMail({ host: "127.0.0.1", port }, mail).catch(() => undefined);
      const code = reply?.slice(0, 3) ?? "none";
      codes[code] = (codes[code] ?? 0) + 1;
      if (code === "250") acknowledged.push(marker);
      else await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await Promise.all(Array.from({ length: senders }, sender));
  console.log(JSON.stringify({ acknowledged, codes }));
}

if (process.argv[1] === import.meta.filename) {
  const [port, to = "", senders, seconds] = process.argv.slice(2);
  await run(Number(port), to, Number(senders), Number(seconds));
}
