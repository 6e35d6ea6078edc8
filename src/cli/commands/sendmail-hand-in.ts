/** Hands a message in at the hub's local socket, by SMTP. */

import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { systemClock } from "#base/clock";
import { errorCode } from "#base/disk";
import { defaultsOf } from "#base/parameters";
import type { Envelope } from "#model/envelope";
import {
  openSession,
  type SendOutcome,
  smtpClientParameters,
  timeoutsOf,
} from "#transport/smtp-client";
import { ExitError, exitCodes } from "../exit.ts";

/** sysexits(3), beyond those that every command of ours has. */
const sendmailExits = { badData: 65, noUser: 67 } as const;

/** A hub that starts again is back sooner. */
const patienceMs = 10_000;
const againMs = 500;
const greetingMs = 10_000;

export interface LocalDoor {
  readonly stream: Duplex;
  /** As the hub introduces itself. */
  readonly hostname: string;
}

/** @throws ExitError 75 when nobody answers, 77 when this user may not connect */
export async function openDoor(path: string): Promise<LocalDoor> {
  const untilMs = Date.now() + patienceMs;
  for (;;) {
    try {
      const stream = await dial(path);
      return { stream, hostname: await greetingOf(stream) };
    } catch (error) {
      const code = errorCode(error);
      if (code === "EACCES" || code === "EPERM") {
        throw new ExitError(exitCodes.notPermitted, `you may not use ${path}`);
      }
      if (Date.now() > untilMs) {
        const why = error instanceof Error ? error.message : String(error);
        throw new ExitError(exitCodes.tryAgain, `the mail system does not answer: ${why}`);
      }
      await pause(againMs);
    }
  }
}

function dial(path: string): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

/** Reads the greeting, and leaves it to be read again. */
async function greetingOf(stream: Duplex): Promise<string> {
  const greeting = await new Promise<Buffer>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("no greeting in time")), greetingMs);
    const gone = (): void => reject(new Error("the connection ended before the greeting"));
    stream.once("error", gone).once("end", gone);
    stream.once("data", (chunk: Buffer) => {
      clearTimeout(timer);
      stream.pause();
      stream.off("error", gone).off("end", gone);
      resolve(chunk);
    });
  });
  stream.unshift(greeting);
  const hostname = /^220[ -]([^\s]+)/.exec(greeting.toString("latin1", 0, 600))?.[1];
  if (hostname !== undefined) return hostname;
  stream.destroy();
  throw new Error(greeting.toString("latin1", 0, 200).trim());
}

/** @returns the exit code; what was refused is told by `say` */
export async function handIn(
  { stream, hostname }: LocalDoor,
  envelope: Envelope,
  octets: Buffer,
  say: (line: string) => void,
): Promise<number> {
  const opening = openSession({
    stream,
    heloName: hostname,
    tls: { level: "none", serverName: hostname, minVersion: "TLSv1.2" },
    timeouts: timeoutsOf(defaultsOf(smtpClientParameters)),
    clock: systemClock,
  });
  stream.resume(); // it was stopped behind the greeting
  const opened = await opening;
  if (!opened.ok) {
    say(textOf(opened.failure.reply));
    return exitCodes.tryAgain;
  }
  const { session } = opened;
  const outcome = await session.send({ envelope, content: octets, sizeBytes: octets.length });
  await session.quit();
  const failed = outcome.filter(({ delivered }) => !delivered);
  for (const { path, reply } of failed) say(`${path}: ${textOf(reply)}`);
  return failed.length === 0 ? exitCodes.ok : Math.max(...failed.map(exitOf));
}

function textOf({ code, status, text }: SendOutcome[number]["reply"]): string {
  return [code, status, [text].flat().join(" ")].filter(Boolean).join(" ");
}

/** The larger of two codes is the one that says more: "try again" wins over what is final. */
function exitOf({ answered, reply }: SendOutcome[number]): number {
  const { code, status = "" } = reply;
  if (!answered || code < 500) return exitCodes.tryAgain;
  if (/^5\.1\.[0-9]+$/.test(status)) return sendmailExits.noUser;
  if (/^5\.(?:6\.[0-9]+|3\.4)$/.test(status)) return sendmailExits.badData;
  return exitCodes.serviceDown;
}
