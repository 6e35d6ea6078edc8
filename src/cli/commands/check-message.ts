/** `postern check message`: everything that the checks of incoming mail say about one file. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import type { Resolver } from "#base/dns";
import { formatAuthResults } from "#formats/auth-results";
import { field, type Header, parseHeader, valueOf } from "#formats/message";
import { parseReceived } from "#formats/received";
import type { Author } from "#identity/author";
import { type IdentityRules, identityRules, MessageChecks } from "#identity/checks";
import { assessSender, lookAlikes, messageFacts } from "#identity/sender";
import { findPra, type Pra } from "#identity/sender-id";
import type { Source } from "#model/connection";
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
import { spamConfidence } from "#policy";
import { ExitError, exitCodes } from "../exit.ts";
import { textTable } from "../table.ts";
import { type Asked, batch, clockAt, resolverOf } from "./check-shared.ts";
import { output } from "./shared.ts";

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

A file named - is standard input. Without --ip, the newest Received field says who sent it; without --mail-from, Return-Path.
In a batch each line is {"id", "file" or "base64", "ip", "helo", "mailFrom", "at"}.`;

const several = (value: string, before: readonly string[]): readonly string[] => [...before, value];

export function addCheckMessage(check: Command): void {
  check
    .command("message [file]")
    .description("every verdict on a message, the address and host that were judged, and why")
    .option("--ip <address>", "address of the client that sent it")
    .option("--helo <name>", "its greeting")
    .option("--mail-from <path>", "return path; empty for the null path")
    .option("--dns <host:port>", "resolver; without it that of the machine")
    .option("--at <time>", "judge as of this moment")
    .option("--own-relay <network>", "a relay of ours, not the sender; repeatable", several, [])
    .option("--trusted-sealer <domain>", "an ARC sealer that is believed; repeatable", several, [])
    .option("--batch", "one JSON object a line on standard input")
    .addHelpText("after", examples)
    .action(async (file: string | undefined, options: Options, command: Command) => {
      const rules = rulesOf(options);
      const resolver = resolverOf(options.dns);
      if (options.batch === true) return batch((asked) => explain(asked, rules, resolver));
      const { ip, helo, mailFrom, at } = options;
      const found = await explain({ file, ip, helo, mailFrom, at }, rules, resolver);
      output(command, found, () => textOf(found));
    });
}

function rulesOf({ ownRelay, trustedSealer }: Options): IdentityRules {
  try {
    return identityRules({
      ownRelays: ownRelay,
      trustedSealers: trustedSealer,
      praMode: "rfc4407",
    });
  } catch (error) {
    throw new ExitError(exitCodes.usage, (error as Error).message);
  }
}

interface Explained {
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
  /** Nobody looks at these yet. */
  readonly smime: null;
  readonly content: null;
  readonly authenticationResults: string;
  /** The sentence for the reader. */
  readonly why: string;
}

async function explain(asked: Asked, rules: IdentityRules, resolver: Resolver): Promise<Explained> {
  const octets = octetsOf(asked);
  const header = parseHeader(octets);
  const newest = field(header, "received");
  const hop = newest === undefined ? {} : parseReceived(valueOf(header, newest));
  const { ip = hop.address, helo = hop.helo ?? "" } = asked;
  const mailFrom = asked["mailFrom"] ?? returnPath(header);
  const delivered = { ...(ip !== undefined && { ip }), helo, mailFrom, receiver };
  const checks = new MessageChecks(delivered, rules, { resolver, clock: clockAt(asked["at"]) });
  checks.write(octets);
  const { verdicts, source, author } = await checks.finish();
  const facts = messageFacts(header, octets);
  const sender = assessSender({ ...facts, author, verdicts, source: source.kind, ...nobodyOfOurs });
  const { isBulk } = facts;
  const spam = spamConfidence({ sender, isAllowed: false, isKnown: false, isBulk });
  return {
    sender,
    source,
    author,
    pra: findPra(header),
    ...byMethod(verdicts),
    spam,
    smime: null,
    content: null,
    authenticationResults: formatAuthResults(receiver, [...verdicts, sender, spam]),
    why: sender.text,
  };
}

/** A file is judged without knowing who we are; the running system knows its own domains and people. */
const nobodyOfOurs = {
  isPartner: false,
  isOurs: () => false,
  known: lookAlikes([]),
  isNameOfOurs: () => false,
  isFirstContact: false,
} as const;

/** Name under which results are printed. */
const receiver = "localhost";

/** Ours: the same as the longest message that a default installation takes. */
const maxFileBytes = 50 * 1024 * 1024;

function octetsOf({ file, base64 }: Asked): Buffer {
  if (base64 !== undefined) return Buffer.from(base64, "base64");
  if (file === undefined) throw new ExitError(exitCodes.usage, "a file is missing; - is stdin");
  try {
    const octets = readFileSync(file === "-" ? 0 : file);
    if (octets.length <= maxFileBytes) return octets;
  } catch (error) {
    throw new ExitError(exitCodes.cannotOpen, (error as Error).message);
  }
  throw new ExitError(exitCodes.cannotOpen, `${file} is larger than any message`);
}

function returnPath(header: Header): string {
  const found = field(header, "return-path");
  return found === undefined ? "" : valueOf(header, found).replace(/^<|>$/g, "");
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

function textOf(found: Explained): string {
  const { sender, source, author, pra, spf, senderId, dkim, arc, dmarc, spam } = found;
  const rows = [
    ["author", author.kind === "one" ? author.address : author.why],
    ["sent by", sourceText(source)],
    ["responsible", praText(pra)],
    ["SPF", verdictText(spf)],
    ["Sender ID", `${verdictText(senderId)} (${senderId.status}, ${senderId.class}; legacy)`],
    ...dkim.map((one) => ["DKIM", verdictText(one)]),
    ["ARC", verdictText(arc)],
    ["DMARC", verdictText(dmarc)],
    ["state", `${sender.result}, from ${sender.origin}`],
    ...sender.evidence.map(({ type, text }) => ["evidence", `${type}: ${text}`]),
    ["spam level", `${spam.level} of 9`],
    ...spam.reasons.map(({ points, text }) => ["", `${points > 0 ? "+" : ""}${points} ${text}`]),
  ];
  return `${found.why}\n\n${textTable(rows)}\n\n${found.authenticationResults}`;
}

function verdictText({ result, why }: { readonly result: string; readonly why: string }): string {
  return `${result}: ${why}`;
}

function sourceText({ kind, address, helo, passed }: Source): string {
  if (kind === "unknown") return "not known";
  const through = passed === 0 ? "" : `, through ${passed} relays of ours`;
  return `${address} (${helo})${through}`;
}

/** The block of trace fields tells which of several Resent fields is the newest (RFC 4407 §2). */
function praText(pra: Pra): string {
  if (pra.kind !== "found") return pra.why;
  return `${pra.address} by ${pra.header}, below ${pra.traceAbove} trace fields`;
}
