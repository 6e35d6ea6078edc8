/** `postern check message`: everything that the checks of incoming mail say about one file. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { domainToASCII } from "node:url";
import type { Command } from "commander";
import type { Resolver } from "#base/dns";
import { parseIp } from "#base/ip";
import { formatAuthResults } from "#formats/auth-results";
import { field, type Header, parseHeader, valueOf } from "#formats/message";
import type { Author } from "#identity/author";
import { type IdentityRules, identityRules, MessageChecks } from "#identity/checks";
import { assessSender, lookAlikes, messageFacts } from "#identity/sender";
import { findPra, type Pra } from "#identity/sender-id";
import type { Source } from "#model/connection";
import type { Disposition, SenderRules } from "#model/decision";
import type {
  ArcVerdict,
  DkimVerdict,
  DmarcVerdict,
  SenderIdVerdict,
  SenderVerdict,
  SpamVerdict,
  SpfVerdict,
  Verdict,
} from "#model/verdict";
import { decide, spamConfidence, weighIdentity, weighSpam } from "#policy";
import { adminClient } from "../admin-client.ts";
import type { Config } from "../config/read.ts";
import { ExitError, exitCodes } from "../exit.ts";
import { maxMessageBytes, readMessageFile } from "./check-message-file.ts";
import { explainedText } from "./check-message-text.ts";
import { type Asked, batch, clockAt, resolverOf } from "./check-shared.ts";
import { configOf, dataOf, output } from "./shared.ts";

interface Options {
  readonly ip?: string;
  readonly helo?: string;
  readonly mailFrom?: string;
  readonly dns?: string;
  readonly at?: string;
  readonly batch?: boolean;
  readonly ownRelay: readonly string[];
  readonly trustedSealer: readonly string[];
}

const examples = `
Examples:
  postern check message suspicious.eml
  postern check message mail.eml --ip 192.0.2.1 --helo mx.example.net --mail-from a@example.net
  postern check message mail.eml --own-relay 192.0.2.0/24 --at 2026-01-05T10:00:00Z --json

A file named - is standard input. The line before a message in an mbox is passed over, and the
line ends of Unix are read as those of mail. Without --ip, the newest Received field that names
another host than the machine itself and --own-relay says who sent it; without --mail-from,
Return-Path. In a batch each line is {"id", "file" or "base64", "ip", "helo", "mailFrom", "at"};
what is not there is taken from the options.

Where an installation runs in the data folder, its domains, relays and rules count. Contacts and names
of its people do not: those are judged only as mail comes in.`;

const several = (value: string, before: readonly string[]): readonly string[] => [...before, value];

export function addCheckMessage(check: Command): void {
  check
    .command("message [file]")
    .description("every verdict on a message, the address and host that were judged, and why")
    .option("--ip <address>", "address of the client that sent it")
    .option("--helo <name>", "its greeting, with --ip")
    .option("--mail-from <path>", "return path; empty for the null path")
    .option("--dns <address:port>", "resolver; without it that of the installation or machine")
    .option("--at <time>", "judge as of this moment")
    .option("--own-relay <network>", "a relay of ours, not the sender; repeatable", several, [])
    .option("--trusted-sealer <domain>", "an ARC sealer that is believed; repeatable", several, [])
    .option("--batch", "one JSON object a line on standard input")
    .addHelpText("after", examples)
    .action(async (file: string | undefined, options: Options, command: Command) => {
      const site = await siteOf(options, command);
      const { ip, helo, mailFrom, at } = options;
      const given = { ip, helo, mailFrom, at };
      if (options.batch !== true) {
        const found = await explain({ ...given, file }, site);
        return output(command, found, () => explainedText(found));
      }
      if (file !== undefined) throw new ExitError(exitCodes.usage, "a batch is standard input");
      return batch(async (asked) => {
        if (asked["file"] === "-") throw new ExitError(exitCodes.usage, "- is the batch itself");
        return await explain({ ...given, ...asked }, site);
      });
    });
}

/** Who judges: the installation of the data folder where there is one, with its own domains. */
interface Site {
  readonly rules: IdentityRules;
  readonly resolver: Resolver;
  readonly config: Config;
  /** Empty when no system runs there. */
  readonly domains: readonly string[];
}

async function siteOf(options: Options, command: Command): Promise<Site> {
  const config = configOf(command);
  return {
    rules: rulesOf(options, config),
    resolver: resolverOf(options.dns, command),
    config,
    domains: await ownDomains(command),
  };
}

async function ownDomains(command: Command): Promise<readonly string[]> {
  try {
    const found = await adminClient(dataOf(command)).get<readonly { name: string }[]>("/domains");
    return found.map(({ name }) => domainToASCII(name.toLowerCase()));
  } catch (error) {
    if (error instanceof ExitError) return []; // files can be judged where nothing runs
    throw error;
  }
}

function rulesOf({ ownRelay, trustedSealer }: Options, { identity }: Config): IdentityRules {
  try {
    return identityRules({
      ownRelays: ownRelay.length > 0 ? ownRelay : identity.ownRelays,
      trustedSealers: trustedSealer.length > 0 ? trustedSealer : identity.trustedSealers,
      praMode: identity.praMode === "mail-from-fallback" ? identity.praMode : "rfc4407",
    });
  } catch (error) {
    throw new ExitError(exitCodes.usage, (error as Error).message);
  }
}

export interface Explained {
  readonly sender: SenderVerdict;
  readonly source: Source;
  readonly author: Author;
  readonly spf: SpfVerdict;
  readonly senderId: SenderIdVerdict;
  /** The block of trace fields in which the responsible address was found. */
  readonly pra: Pra;
  readonly dkim: readonly DkimVerdict[];
  readonly arc: ArcVerdict;
  readonly dmarc: DmarcVerdict;
  readonly spam: SpamVerdict;
  /** What the configuration makes of it; "quarantine" is Junk. */
  readonly outcome: { readonly disposition: Disposition; readonly because: string };
  /** Nobody looks at these yet. */
  readonly smime: null;
  readonly content: null;
  readonly authenticationResults: string;
  /** The sentence for the reader. */
  readonly why: string;
}

async function explain(
  asked: Asked,
  { rules, resolver, config, domains }: Site,
): Promise<Explained> {
  const octets = await octetsOf(asked);
  const header = parseHeader(octets);
  const { ip, helo = "" } = asked;
  if (ip !== undefined && parseIp(ip) === undefined) {
    throw new ExitError(exitCodes.usage, `--ip "${ip}" is not an address`);
  }
  const mailFrom = bare(asked["mailFrom"] ?? returnPath(header));
  const delivered = { ip: ip ?? ownAddress, helo, mailFrom, receiver };
  const checks = new MessageChecks(delivered, ip === undefined ? withOwn(rules) : rules, {
    resolver,
    clock: clockAt(asked["at"]),
  });
  checks.write(octets);
  const { verdicts, source, author } = await checks.finish();
  const facts = messageFacts(header, octets);
  const sender = assessSender({
    ...facts,
    author,
    verdicts,
    source: source.kind,
    isOurs: (domain) => domains.some((own) => domain === own || domain.endsWith(`.${own}`)),
    known: lookAlikes([...domains, ...config.spam.partners]),
    isNameOfOurs: () => false, // people and their correspondents are the running system's to know
    isFirstContact: false,
  });
  const { isBulk } = facts;
  const spam = spamConfidence({ sender, isAllowed: false, isKnown: false, isBulk });
  const { spf, dmarc, senderId } = config;
  const senderRules = { spf, dmarc, senderId } as SenderRules;
  const { disposition, opinions } = decide([
    ...weighIdentity(verdicts, senderRules),
    weighSpam(spam, config.spam),
  ]);
  return {
    sender,
    source,
    author,
    pra: findPra(header),
    ...byMethod(verdicts),
    spam,
    outcome: { disposition, because: opinions[0]?.because ?? "" },
    smime: null,
    content: null,
    authenticationResults: formatAuthResults(receiver, [...verdicts, sender, spam]),
    why: sender.text,
  };
}

/** Name under which results are printed. */
const receiver = "localhost";

/** Without a client, it is as if the machine itself had handed the file to us: the fields tell. */
const ownAddress = "127.0.0.1";

function withOwn(rules: IdentityRules): IdentityRules {
  return { ...rules, ownRelays: [...rules.ownRelays, ...itself] };
}

const { ownRelays: itself } = identityRules({
  ownRelays: [ownAddress],
  trustedSealers: [],
  praMode: "rfc4407",
});

async function octetsOf({ file, base64 }: Asked): Promise<Buffer> {
  if (base64 === undefined) {
    if (file !== undefined) return await readMessageFile(file);
    throw new ExitError(exitCodes.usage, "a file is missing; - is standard input");
  }
  const octets = Buffer.from(base64, "base64");
  if (octets.length <= maxMessageBytes) return octets;
  throw new ExitError(exitCodes.cannotOpen, "base64 is larger than any message");
}

function returnPath(header: Header): string {
  const found = field(header, "return-path");
  return found === undefined ? "" : valueOf(header, found);
}

/** As it stands in the field and in the command, or as people write it. */
function bare(path: string): string {
  return path.replace(/^<|>$/g, "");
}

type ByMethod = Pick<Explained, "spf" | "senderId" | "dkim" | "arc" | "dmarc">;

function byMethod(verdicts: readonly Verdict[]): ByMethod {
  const one = <Method extends Verdict["method"]>(
    method: Method,
  ): Extract<Verdict, { method: Method }> => {
    const found = verdicts.find((verdict) => verdict.method === method);
    assert.ok(found, method);
    return found as Extract<Verdict, { method: Method }>;
  };
  const dkim = verdicts.filter((verdict) => verdict.method === "dkim");
  return {
    spf: one("spf"),
    senderId: one("sender-id"),
    dkim,
    arc: one("arc"),
    dmarc: one("dmarc"),
  };
}
