/** `sendmail` for programs of this machine: cron, mail(), mutt and scripts (docs/sendmail.md). */

import { Buffer } from "node:buffer";
import { userInfo } from "node:os";
import { resolve } from "node:path";
import type { Command } from "commander";
import type { Envelope } from "#model/envelope";
import type { QueueItem } from "#model/queue";
import { adminClient } from "../admin-client.ts";
import { ExitError, exitCodeOf, exitCodes, print, say } from "../exit.ts";
import { handIn, openDoor } from "./sendmail-hand-in.ts";
import { prepareMessage, qualified } from "./sendmail-message.ts";
import { parseSendmail, type SendmailOptions } from "./sendmail-options.ts";

/** Where the hub of a packaged installation listens; POSTERN_SENDMAIL_SOCKET says otherwise. */
const usualSocket = "/run/postern/sendmail.sock";
/** No mail system takes more in one piece. */
const maxMessageBytes = 256 * 1024 * 1024;

/** Its options are read by `runSendmail`: they follow other rules than those of our commands. */
export function addSendmailCommand(program: Command): void {
  program
    .command("sendmail [words...]")
    .description("hand in a message from standard input, as programs of the machine do");
}

/**
 * What stands behind "sendmail", where that is the command: only the options of every command may
 * stand before it, and only the folder means anything here.
 */
export function sendmailWords(
  argv: readonly string[],
): { readonly words: readonly string[]; readonly data?: string } | undefined {
  let data: string | undefined;
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? "";
    if (word === "sendmail") return { words: argv.slice(at + 1), ...(data && { data }) };
    const [, name, own] = /^--(data|config|json)(?:=(.*))?$/.exec(word) ?? [];
    if (name === undefined) return undefined;
    if (name === "json") continue;
    if (own === undefined) at += 1;
    if (name === "data") data = own ?? argv[at];
  }
  return undefined;
}

/**
 * @param words what stands behind the name of the program
 * @param data folder of the installation, for operators; POSTERN_DATA names it, too
 */
export async function runSendmail(
  words: readonly string[],
  data: string = process.env["POSTERN_DATA"] ?? "data",
): Promise<number> {
  try {
    const options = parseSendmail(words);
    switch (options.mode) {
      case "nothing":
        return exitCodes.ok;
      case "list":
        return await listQueue(resolve(data));
      case "smtp":
        return await speakSmtp();
      case "deliver":
        return await deliver(options);
    }
  } catch (error) {
    say(`sendmail: ${error instanceof Error ? error.message : String(error)}`);
    return exitCodeOf(error);
  }
}

function socketPath(): string {
  return process.env["POSTERN_SENDMAIL_SOCKET"] ?? usualSocket;
}

async function deliver(options: SendmailOptions): Promise<number> {
  const written = await standardInput();
  const door = await openDoor(socketPath());
  const { hostname } = door;
  const own = `${userInfo().username}@${hostname}`;
  const reversePath = options.sender === undefined ? own : addressOf(options.sender, hostname);
  const { fullName = process.env["NAME"] } = options;
  const author = { address: reversePath || own, hostname, ...(fullName && { fullName }) };
  const message = prepareMessage(written, author, options.ignoresDots);
  const named = [
    ...options.recipients.map((one) => addressOf(one, hostname)),
    ...(options.readsRecipients ? message.recipients : []),
  ];
  const recipients = [...new Set(named)].filter((one) => one !== "");
  if (recipients.length === 0) {
    door.stream.destroy();
    throw new ExitError(exitCodes.usage, "no recipients: name them, or read them with -t");
  }
  const envelope = envelopeOf(options, { reversePath, recipients, octets: message.octets });
  const code = await handIn(door, envelope, message.octets, (line) => say(`sendmail: ${line}`));
  if (options.isVerbose && code === exitCodes.ok) say(`sendmail: taken by ${hostname}`);
  return code;
}

function envelopeOf(
  { notify, dsnReturn, envelopeId, body }: SendmailOptions,
  {
    reversePath,
    recipients,
    octets,
  }: {
    readonly reversePath: string;
    readonly recipients: readonly string[];
    readonly octets: Buffer;
  },
): Envelope {
  const header = octets.subarray(0, octets.indexOf("\r\n\r\n"));
  const needsUtf8 = !isAscii(header) || ![reversePath, ...recipients].every((one) => isAscii(one));
  const has8bit = body === "8bitmime" || !isAscii(octets);
  return {
    reversePath,
    recipients: recipients.map((path) => ({ path, ...(notify && { notify }) })),
    ...(needsUtf8 && { utf8: true }),
    ...(has8bit && { body: "8bitmime" as const }),
    ...(dsnReturn && { dsnReturn }),
    ...(envelopeId && { envelopeId }),
  };
}

function isAscii(text: string | Uint8Array): boolean {
  const octets = typeof text === "string" ? Buffer.from(text) : text;
  return octets.every((octet) => octet < 0x80);
}

/** @throws ExitError for what would end the command that it is put into */
function addressOf(text: string, hostname: string): string {
  const address = qualified(text.trim(), hostname);
  if (!/[\p{Cc}<>]/u.test(address)) return address;
  throw new ExitError(exitCodes.usage, "an address holds a bracket or a control character");
}

async function standardInput(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxMessageBytes) throw new ExitError(exitCodes.serviceDown, "too much input");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** -bs: the program speaks SMTP itself, on its standard input and output. */
async function speakSmtp(): Promise<number> {
  const { stream } = await openDoor(socketPath());
  process.stdin.pipe(stream);
  stream.pipe(process.stdout, { end: false });
  await new Promise((done) => stream.once("close", done).once("error", done));
  process.stdin.unpipe(stream).pause();
  return exitCodes.ok;
}

const whyNoQueue: Readonly<Record<number, string>> = {
  [exitCodes.cannotOpen]: "there is no installation: POSTERN_DATA names its folder",
  [exitCodes.serviceDown]: "nothing runs there; POSTERN_DATA names another folder",
  [exitCodes.notPermitted]: "only who may administer sees what waits",
};

/** -bp: for operators, whose right the admin socket asks for. */
async function listQueue(data: string): Promise<number> {
  const { items } = await waitingIn(data);
  if (items.length === 0) print("Mail queue is empty");
  for (const { id, sizeBytes, queuedAtMs, reversePath, recipient, last } of items) {
    const why = last === undefined ? "" : `\n  (${[last.reply.text].flat().join(" ")})`;
    const from = reversePath === "" ? "MAILER-DAEMON" : reversePath;
    print(`${id} ${sizeBytes} ${new Date(queuedAtMs).toISOString()} ${from}${why}\n  ${recipient}`);
  }
  return exitCodes.ok;
}

/** @throws ExitError in words for who knows sendmail, and no command of ours */
async function waitingIn(data: string): Promise<{ readonly items: readonly QueueItem[] }> {
  try {
    return await adminClient(data).get("/queue?limit=1000&state=waiting");
  } catch (error) {
    const why = error instanceof ExitError ? whyNoQueue[error.code] : undefined;
    throw why === undefined ? error : new ExitError(exitCodeOf(error), `${data}: ${why}`);
  }
}
