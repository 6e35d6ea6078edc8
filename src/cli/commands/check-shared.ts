/** What the commands that check have in common: a resolver, a moment, and batches. */

import { createInterface } from "node:readline";
import { type Clock, systemClock } from "#base/clock";
import { createResolver, dnsParameters, type Resolver, resolverSettings } from "#base/dns";
import { defaultsOf } from "#base/parameters";
import { systemRandom } from "#base/random";
import { ExitError, exitCodes, print } from "../exit.ts";

export function resolverOf(dns: string | undefined): Resolver {
  const servers = dns === undefined ? [] : [dns];
  const settings = resolverSettings({ ...defaultsOf(dnsParameters), servers });
  return createResolver({ ...settings, clock: systemClock, random: systemRandom });
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
