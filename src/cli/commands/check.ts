/** `postern check`: what the checks of incoming mail would say. */

import { createInterface } from "node:readline";
import type { Command } from "commander";
import { systemClock } from "#base/clock";
import { createResolver, dnsParameters, type Resolver, resolverSettings } from "#base/dns";
import { defaultsOf } from "#base/parameters";
import { systemRandom } from "#base/random";
import { checkSpf } from "#identity/spf";
import { ExitError, exitCodes, print } from "../exit.ts";
import { output } from "./shared.ts";

interface SpfOptions {
  readonly ip?: string;
  readonly helo: string;
  readonly mailFrom: string;
  readonly dns?: string;
  readonly batch?: boolean;
}

export function addCheckCommands(program: Command): void {
  const check = program.command("check").description("what the checks of incoming mail say");
  check
    .command("spf")
    .description("SPF (RFC 7208) of a client address, a greeting and a return path")
    .option("--ip <address>", "address of the client")
    .option("--helo <name>", "its greeting", "")
    .option("--mail-from <path>", "return path; empty for the null path", "")
    .option("--dns <host:port>", "resolver; without it that of the machine")
    .option("--batch", "one JSON object {id, ip, helo, mailFrom} a line on standard input")
    .action(async (options: SpfOptions, command: Command) => {
      const resolver = resolverOf(options.dns);
      if (options.batch === true) return batch(resolver);
      if (options.ip === undefined) throw new ExitError(exitCodes.usage, "--ip is missing");
      const found = await spf(resolver, { ...options, ip: options.ip });
      output(command, found, () => `${found.result}  ${found.domain}  ${found.why}`);
    });
}

function resolverOf(dns: string | undefined): Resolver {
  const servers = dns === undefined ? [] : [dns];
  const settings = resolverSettings({ ...defaultsOf(dnsParameters), servers });
  return createResolver({ ...settings, clock: systemClock, random: systemRandom });
}

async function spf(
  resolver: Resolver,
  asked: { readonly ip: string; readonly helo: string; readonly mailFrom: string },
): Promise<{ result: string; domain: string; why: string; explanation?: string }> {
  const { ip, helo, mailFrom } = asked;
  const question = { ip, helo, mailFrom, receiver: "localhost" };
  const verdict = await checkSpf(question, resolver, systemClock);
  const { method: _, ...found } = verdict;
  return found;
}

/** In order, one answer a line; a line that cannot be read gets an error under its id. */
async function batch(resolver: Resolver): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() === "") continue;
    print(JSON.stringify(await answerTo(line, resolver)));
  }
}

async function answerTo(line: string, resolver: Resolver): Promise<object> {
  let asked: Readonly<Record<string, unknown>>;
  try {
    asked = Object(JSON.parse(line)) as typeof asked;
  } catch {
    return { error: "not JSON" };
  }
  const { id, ip, helo = "", mailFrom = "" } = asked;
  if (typeof ip !== "string" || typeof helo !== "string" || typeof mailFrom !== "string") {
    return { id, error: "ip, helo and mailFrom are texts" };
  }
  return { id, ...(await spf(resolver, { ip, helo, mailFrom })) };
}
