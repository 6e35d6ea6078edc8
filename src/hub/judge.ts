/** What the inside makes of a message that an edge checked: who sent it, and is it wanted? */

import { Buffer } from "node:buffer";
import type { Clock } from "#base/clock";
import { type Net, systemNet } from "#base/net";
import type { Values } from "#base/parameters";
import type { Deposit } from "#contracts/deposit";
import type { Directory } from "#contracts/directory";
import type { Store } from "#contracts/store";
import type { DirectoryAdmin } from "#directory";
import { formatResult } from "#formats/auth-results";
import { maxHeaderBytes, parseHeader } from "#formats/message";
import { type Author, readAuthor } from "#identity/author";
import { assessSender, type MessageFacts, messageFacts, type SenderFacts } from "#identity/sender";
import type { Source } from "#model/connection";
import type { InboundConnector } from "#model/connector";
import type { Decision } from "#model/decision";
import type { TraceStep } from "#model/trace";
import type { SenderVerdict, Verdict } from "#model/verdict";
import { decide, spamConfidence, type spamParameters, weighSpam } from "#policy";
import {
  askSpamFilter,
  type SpamAnswer,
  type SpamFilter,
  spamFilterOf,
  type spamFilterParameters,
} from "#transport/spam-filter";
import { createMilters, type MilterSettings, type Milters } from "./milters.ts";
import { type OwnNames, ownNames } from "./own-names.ts";
import { partnerOf, partnerVerdicts } from "./partners.ts";

export interface JudgingSettings extends Values<typeof spamParameters> {
  readonly filter: Values<typeof spamFilterParameters>;
  readonly milters: MilterSettings;
}

export interface Arrived {
  readonly deposit: Deposit;
  /** The octets from the start; `startBytes` of them, if there are as many. */
  readonly start: readonly Uint8Array[];
  readonly sizeBytes: number;
  /** What the edge found out. */
  readonly verdicts: readonly Verdict[];
  readonly decision: Decision;
  readonly source: Source;
}

export interface Judgement {
  readonly verdicts: readonly Verdict[];
  /** Never milder than the edge's. */
  readonly decision: Decision;
  readonly steps: readonly TraceStep[];
  /** Fields that milters put on top, with their line ends. */
  readonly milterFields: string;
}

export interface Judge {
  /** How much of a message it looks at. */
  readonly startBytes: number;
  judge(arrived: Arrived): Promise<Judgement>;
}

export interface JudgePorts {
  readonly settings: JudgingSettings;
  readonly directory: Pick<Directory, "resolve" | "isLocalDomain"> &
    Pick<DirectoryAdmin, "domains" | "accounts" | "onChange">;
  readonly contacts: Store["contacts"];
  readonly clock: Clock;
  readonly net?: Net;
  /** The inbound ones of all doors. */
  readonly connectors: readonly InboundConnector[];
  /** authserv-id that milters may not speak under. */
  readonly authservId: string;
}

/** Of what follows the header: enough for the first words. */
const wordsBytes = 16_384;

/** @throws Misconfigured when the spam filter or a milter has no address */
export function createJudge(ports: JudgePorts): Judge {
  const { settings, clock, net = systemNet } = ports;
  const filter = spamFilterOf(settings.filter);
  const milters = createMilters(settings.milters, { net, clock });
  const own = ownNames(ports.directory, settings.partners);
  const allowed = new Set(settings.allow.map((one) => one.toLowerCase()));
  return {
    startBytes: Math.max(maxHeaderBytes + wordsBytes, filter?.maxBytes ?? 0, milters.maxBytes),
    async judge(arrived) {
      const octets = Buffer.concat(arrived.start);
      const header = parseHeader(octets);
      const asked = filter === undefined ? undefined : ask(filter, arrived, { net, clock });
      asked?.catch(() => {}); // looked at below; what fails first must not leave it alone
      const shown = milters.ask(milterMail(arrived, octets), ports.authservId);
      shown.catch(() => {});
      const author = readAuthor(header);
      const message = messageFacts(header, octets.subarray(0, header.end + wordsBytes));
      const contact = await contactWith(author, arrived.deposit, ports);
      const sender = assess({ arrived, author, message }, contact, own(), ports);
      const answer = await asked;
      const spam = spamConfidence({
        sender,
        isAllowed: isAllowed(sender.address, allowed),
        isKnown: contact === "wrote",
        isBulk: message.isBulk,
        ...(answer?.kind === "score" && { filter: answer }),
      });
      const { verdicts, decision } = arrived;
      const handedIn = partnerVerdicts(arrived.deposit.connection);
      const atMs = clock.nowMs();
      const step = (name: string, text: string): TraceStep => ({
        ...{ atMs, program: "hub", step: name, text: text.slice(0, 1000) },
      });
      const said = await shown;
      const strictest = decide([...decision.opinions, weighSpam(spam, settings), ...said.opinions]);
      return {
        verdicts: [...verdicts, ...handedIn, sender, spam],
        decision: strictest,
        milterFields: said.head,
        steps: [
          ...[...handedIn, sender, spam].map((one) => step("checked", formatResult(one))),
          ...(answer?.kind === "unavailable"
            ? [step("checked", `the spam filter gave no answer: ${answer.why}`)]
            : []),
          ...said.lines.map((line) => step("checked", line)),
        ],
      };
    },
  };
}

function ask(
  filter: SpamFilter,
  { deposit, start, sizeBytes }: Arrived,
  ports: { readonly net: Net; readonly clock: Clock },
): Promise<SpamAnswer> {
  const { connection, envelope, id, receivedBy } = deposit;
  const mail = {
    // What is too large for the filter is not held whole, and not sent.
    octets: sizeBytes > filter.maxBytes ? [] : start,
    sizeBytes,
    clientAddress: connection.clientAddress,
    ...(connection.reverseName !== undefined && { clientName: connection.reverseName }),
    helo: connection.helo,
    mailFrom: envelope.reversePath,
    recipients: envelope.recipients.map(({ path }) => path),
    queueId: id,
    receivedBy,
  };
  return askSpamFilter(filter, mail, ports);
}

function milterMail(
  { deposit, sizeBytes }: Arrived,
  octets: Uint8Array,
): Parameters<Milters["ask"]>[0] {
  const { connection, envelope, id, receivedBy } = deposit;
  return { id, connection, envelope, receivedBy, octets, sizeBytes };
}

/** Has anybody among the recipients heard of the author, or written to him? */
type Contact = "first" | "heard" | "wrote";

async function contactWith(
  author: Author,
  { envelope }: Deposit,
  { contacts, directory }: JudgePorts,
): Promise<Contact> {
  if (author.kind !== "one") return "first";
  const accounts = envelope.recipients.flatMap(({ path }) =>
    directory.resolve(path).flatMap((one) => (one.kind === "account" ? [one.account] : [])),
  );
  const known = await contacts.known(author.address, accounts);
  if (known.size === 0) return "first";
  return [...known.values()].includes("wrote") ? "wrote" : "heard";
}

interface Read {
  readonly arrived: Arrived;
  readonly author: Author;
  readonly message: MessageFacts;
}

function assess(
  { arrived, author, message }: Read,
  contact: Contact,
  own: OwnNames,
  { directory, connectors }: Pick<JudgePorts, "directory" | "connectors">,
): SenderVerdict {
  const { verdicts, source } = arrived;
  return assessSender({
    author,
    verdicts,
    source: source.kind,
    ...partnerFacts(arrived.deposit, connectors),
    isOurs: (domain) => isOurs(domain, directory),
    known: own.known,
    isNameOfOurs: (folded) => own.people.has(folded),
    ...message,
    isFirstContact: contact === "first",
  });
}

/** Who handed it in, and for which domains that one may speak. */
function partnerFacts(
  { connection }: Deposit,
  connectors: readonly InboundConnector[],
): Pick<SenderFacts, "partner" | "partnerDomains"> {
  const partner = partnerOf(connection);
  if (partner === undefined) return {};
  const known = connectors.find(({ name }) => name === partner.connector);
  return { partner, partnerDomains: known?.senderDomains ?? [] };
}

/** A domain below one of ours is ours, too. */
function isOurs(domain: string, directory: Pick<Directory, "isLocalDomain">): boolean {
  for (let rest = domain; rest !== ""; rest = rest.slice(rest.indexOf(".") + 1 || rest.length)) {
    if (directory.isLocalDomain(rest)) return true;
  }
  return false;
}

function isAllowed(address: string, allowed: ReadonlySet<string>): boolean {
  const at = address.lastIndexOf("@");
  return at > 0 && (allowed.has(address) || allowed.has(address.slice(at + 1)));
}
