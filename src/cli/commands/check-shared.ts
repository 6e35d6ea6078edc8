/** What the commands that check have in common: a resolver, a moment, and batches. */

import { createInterface } from "node:readline";
import type { Command } from "commander";
import { type Clock, systemClock } from "#base/clock";
import {
  createResolver,
  type DnsValues,
  dnsParameters,
  type Resolver,
  resolverSettings,
} from "#base/dns";
import { defaultsOf } from "#base/parameters";
import { systemRandom } from "#base/random";
import { ExitError, exitCodes, print } from "../exit.ts";
import { configOf } from "./shared.ts";

/** @param dns as ADDRESS:PORT; undefined: what the installation asks, or the machine without one */
export function resolverOf(dns: string | undefined, command: Command): Resolver {
  const values =
    dns === undefined ? configOf(command).dns : { ...defaultsOf(dnsParameters), servers: [dns] };
  return createResolver({ ...settingsOf(values, dns), clock: systemClock, random: systemRandom });
}

function settingsOf(
  values: DnsValues,
  dns: string | undefined,
): ReturnType<typeof resolverSettings> {
  try {
    return resolverSettings(values);
  } catch (error) {
    if (dns === undefined) throw error;
    throw new ExitError(exitCodes.usage, `--dns "${dns}" is not ADDRESS:PORT`);
  }
}

/** @param at a date as ISO 8601 or RFC 5322 has it, or seconds since 1970; undefined: now */
export function clockAt(at: string | undefined): Clock {
  if (at === undefined) return systemClock;
  const ms = /^\d{1,12}$/.test(at) ? Number(at) * 1000 : Date.parse(at);
  if (Number.isNaN(ms)) throw new ExitError(exitCodes.usage, `--at "${at}" is no moment`);
  return { ...systemClock, nowMs: () => ms };
}

/** One line of a batch; texts only, whatever was sent. */
export type Asked = Readonly<Record<string, string | undefined>>;

/** In order, one answer a line; a line that cannot be read gets an error under its id. */
export async function batch(answer: (asked: Asked) => Promise<object>): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() === "") continue;
    print(JSON.stringify(await answerTo(line, answer)));
  }
}

async function answerTo(line: string, answer: (asked: Asked) => Promise<object>): Promise<object> {
  let given: Readonly<Record<string, unknown>>;
  try {
    given = Object(JSON.parse(line)) as typeof given;
  } catch {
    return { error: "not JSON" };
  }
  const { id, ...asked } = given;
  const wrong = Object.keys(asked).find((key) => typeof asked[key] !== "string");
  if (wrong !== undefined) return { id, error: `${wrong} is not a text` };
  try {
    return { id, ...(await answer(asked as Asked)) };
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}
