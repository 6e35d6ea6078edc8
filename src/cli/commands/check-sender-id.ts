/** `postern check sender-id`: the responsible address of a message, and whether a host may send for it. */

import { Buffer } from "node:buffer";
import type { Command } from "commander";
import { systemClock } from "#base/clock";
import type { Resolver } from "#base/dns";
import { parseHeader } from "#formats/message";
import { checkSenderId, type PraMode, praModes } from "#identity/sender-id";
import type { SenderIdVerdict } from "#model/verdict";
import { ExitError, exitCodes } from "../exit.ts";
import { readMessageFile } from "./check-message-file.ts";
import { type Asked, batch, resolverOf } from "./check-shared.ts";
import { output } from "./shared.ts";

interface Options {
  readonly ip?: string;
  readonly helo: string;
  readonly mailFrom: string;
  readonly praMode: string;
  readonly dns?: string;
  readonly batch?: boolean;
}

const examples = `
Examples:
  postern check sender-id mail.eml --ip 192.0.2.1
  postern check sender-id mail.eml --ip 192.0.2.1 --mail-from a@example.net --pra-mode mail-from-fallback

Sender ID (RFC 4406, 4407) is Historic: Postern shows and counts it, and by default nothing more.`;

export function addCheckSenderId(check: Command): void {
  check
    .command("sender-id [file]")
    .description("Sender ID of a message: the purported responsible address and its status")
    .option("--ip <address>", "address of the client that sent it")
    .option("--helo <name>", "its greeting", "")
    .option("--mail-from <path>", "return path; empty for the null path", "")
    .option("--pra-mode <mode>", praModes.join(" or "), "rfc4407")
    .option("--dns <address:port>", "resolver; without it that of the installation or machine")
    .option("--batch", 'one JSON object {id, "file" or "base64", ip, helo, mailFrom} a line')
    .addHelpText("after", examples)
    .action(async (file: string | undefined, options: Options, command: Command) => {
      const mode = praModes.find((one) => one === options.praMode);
      if (mode === undefined) {
        throw new ExitError(exitCodes.usage, `--pra-mode is ${praModes.join(" or ")}`);
      }
      const resolver = resolverOf(options.dns, command);
      if (options.batch === true) return batch((asked) => senderId(asked, mode, resolver));
      const { ip, helo, mailFrom } = options;
      const found = await senderId({ file, ip, helo, mailFrom }, mode, resolver);
      output(command, found, () => lineOf(found));
    });
}

type Found = Omit<SenderIdVerdict, "method">;

async function senderId(asked: Asked, mode: PraMode, resolver: Resolver): Promise<Found> {
  const { file, base64, ip, helo = "", mailFrom = "" } = asked;
  if (ip === undefined) throw new ExitError(exitCodes.usage, "ip is missing");
  if (file === undefined && base64 === undefined) {
    throw new ExitError(exitCodes.usage, "a file is missing; - is standard input");
  }
  const octets =
    base64 === undefined ? await readMessageFile(file ?? "-") : Buffer.from(base64, "base64");
  const source = { kind: "direct", address: ip, helo, passed: 0 } as const;
  const header = parseHeader(octets);
  const question = { header, mailFrom, source, receiver: "localhost", mode };
  const { method: _, ...found } = await checkSenderId(question, resolver, systemClock);
  return found;
}

function lineOf({ status, pra, praHeader, why }: Found): string {
  const address = pra === undefined ? "no responsible address" : `${pra} (${praHeader})`;
  return `${status}  ${address}  ${why}`;
}
