/** `postern check`: what the checks of incoming mail would say. */

import type { Command } from "commander";
import { systemClock } from "#base/clock";
import type { Resolver } from "#base/dns";
import { parseIp } from "#base/ip";
import { checkSpf } from "#identity/spf";
import { ExitError, exitCodes } from "../exit.ts";
import { addCheckDomain } from "./check-domain.ts";
import { addCheckMessage } from "./check-message.ts";
import { addCheckSenderId } from "./check-sender-id.ts";
import { type Asked, batch, resolverOf } from "./check-shared.ts";
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
    .option("--dns <address:port>", "resolver; without it that of the installation or machine")
    .option("--batch", "one JSON object {id, ip, helo, mailFrom} a line on standard input")
    .action(async (options: SpfOptions, command: Command) => {
      const resolver = resolverOf(options.dns, command);
      if (options.batch === true) return batch((asked) => spf(resolver, asked));
      const found = await spf(resolver, { ...options, batch: undefined });
      output(command, found, () => `${found.result}  ${found.domain}  ${found.why}`);
    });
  addCheckSenderId(check);
  addCheckMessage(check);
  addCheckDomain(check);
}

async function spf(
  resolver: Resolver,
  { ip, helo = "", mailFrom = "" }: Asked,
): Promise<{ result: string; domain: string; why: string; explanation?: string }> {
  if (ip === undefined)
    throw new ExitError(exitCodes.usage, "the address of the client is missing: --ip");
  if (parseIp(ip) === undefined)
    throw new ExitError(exitCodes.usage, `"${ip}" is not an IP address`);
  const path = mailFrom.replace(/^<(.*)>$/, "$1");
  const question = { ip, helo, mailFrom: path, receiver: "localhost" };
  const { method: _, ...found } = await checkSpf(question, resolver, systemClock);
  return found;
}
