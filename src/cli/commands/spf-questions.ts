/** The wizard's questions: from flags, from a person, or from the record that is published now. */

import { parseNetwork, type SpfAnswers, type SpfFacts, suggestAnswers } from "#identity/spf-advice";
import { dnsName } from "../dns-name.ts";
import { ExitError, exitCodes } from "../exit.ts";

/** As the command line gives them; absent means: ask, or take what is published. */
export interface AnswerFlags {
  readonly inbound?: boolean;
  readonly a?: boolean;
  readonly address?: readonly string[];
  readonly provider?: readonly string[];
  readonly smartHost?: readonly string[];
  readonly directFallback?: boolean;
  readonly others?: string;
}

/** Shows a question, gives the line that a person typed; "" takes what is proposed. */
export type Ask = (question: string) => Promise<string>;

/** @throws ExitError when a flag makes no sense */
export function answersOf(flags: AnswerFlags, facts: SpfFacts): SpfAnswers {
  const proposed = proposedBy(facts);
  return {
    inboundServersMaySend: flags.inbound ?? proposed.inboundServersMaySend,
    aMaySend: flags.a ?? proposed.aMaySend,
    addresses: checked(flags.address, "--address", networkOf) ?? proposed.addresses,
    providers: checked(flags.provider, "--provider", dnsName) ?? proposed.providers,
    smartHosts: checked(flags.smartHost, "--smart-host", hostOf) ?? proposed.smartHosts,
    directFallback: flags.directFallback ?? proposed.directFallback,
    others: flags.others === undefined ? proposed.others : othersFlag(flags.others),
  };
}

const nothing: SpfAnswers = {
  inboundServersMaySend: false,
  aMaySend: false,
  addresses: [],
  providers: [],
  smartHosts: [],
  directFallback: false,
  others: "softfail",
};

/** What is published now; without a record, that the servers which receive also send. */
function proposedBy({ present, exchanges, domain }: SpfFacts): SpfAnswers {
  const merged = present.flatMap((record) => suggestAnswers(record, domain)?.answers ?? []);
  const [first] = merged;
  if (first === undefined) return { ...nothing, inboundServersMaySend: exchanges.length > 0 };
  const together = (key: "addresses" | "providers" | "smartHosts"): string[] => [
    ...new Set(merged.flatMap((answers) => answers[key])),
  ];
  return {
    ...first,
    inboundServersMaySend: merged.some((answers) => answers.inboundServersMaySend),
    aMaySend: merged.some((answers) => answers.aMaySend),
    addresses: together("addresses"),
    providers: together("providers"),
    smartHosts: together("smartHosts"),
  };
}

type Reader = (text: string) => string | null;

const networkOf: Reader = (text) => (parseNetwork(text.trim()) === undefined ? null : text.trim());
const hostOf: Reader = (text) => networkOf(text) ?? dnsName(text);

function checked(
  texts: readonly string[] | undefined,
  flag: string,
  read: Reader,
): string[] | undefined {
  return texts?.map((text) => {
    const value = read(text);
    if (value === null) throw new ExitError(exitCodes.usage, `${flag} "${text}" cannot be read`);
    return value;
  });
}

const othersWords = ["softfail", "fail", "neutral"] as const;

function othersFlag(text: string): SpfAnswers["others"] {
  const word = othersWords.find((one) => one === text);
  if (word !== undefined) return word;
  throw new ExitError(exitCodes.usage, `--others is one of ${othersWords.join(", ")}`);
}

/** Asks for whatever no flag has answered. */
export async function askAnswers(
  flags: AnswerFlags,
  facts: SpfFacts,
  ask: Ask,
): Promise<SpfAnswers> {
  const proposed = answersOf(flags, facts);
  const { domain, exchanges, addresses: own } = facts;
  const servers = exchanges.map(({ name }) => name).join(", ");
  const inboundServersMaySend = await yesNo(ask, {
    question: `May the inbound servers (${servers}) send too?`,
    given: servers === "" ? false : flags.inbound,
    proposed: proposed.inboundServersMaySend,
  });
  const aMaySend = await yesNo(ask, {
    question: `May the host ${domain} (${own.join(", ")}) send?`,
    given: own.length === 0 ? false : flags.a,
    proposed: proposed.aMaySend,
  });
  const addresses = flags.address
    ? proposed.addresses
    : await list(ask, questions.addresses, proposed.addresses, networkOf);
  const providers = flags.provider
    ? proposed.providers
    : await list(ask, questions.providers, proposed.providers, dnsName);
  const smartHosts = flags.smartHost
    ? proposed.smartHosts
    : await list(ask, questions.smartHosts, proposed.smartHosts, hostOf);
  const directFallback = await yesNo(ask, {
    question: "While they are down, do your servers deliver directly?",
    given: smartHosts.length === 0 ? false : flags.directFallback,
    proposed: proposed.directFallback,
  });
  const senders = { inboundServersMaySend, aMaySend, addresses, providers, smartHosts };
  const others = flags.others === undefined ? await choice(ask, proposed.others) : proposed.others;
  return { ...senders, directFallback, others };
}

const questions = {
  addresses: "Addresses or networks of other servers of yours that send to the Internet",
  providers: "Providers that send for you, by the domain that they tell you to include",
  smartHosts: "Smart hosts that pass your mail on, by name or by the addresses they send from",
};

/** A slip is asked for again; whoever slips more often wants something else. */
const tries = 5;

async function repeat<Value>(ask: Ask, question: string, read: (line: string) => Value | string) {
  let text = question;
  for (let count = 0; count < tries; count += 1) {
    const value = read((await ask(text)).trim());
    if (typeof value !== "string") return value;
    text = `  ${value}\n${question}`;
  }
  throw new ExitError(exitCodes.usage, "no answer that can be used");
}

interface YesNo {
  readonly question: string;
  /** Answered already, or not worth asking. */
  readonly given: boolean | undefined;
  readonly proposed: boolean;
}

async function yesNo(ask: Ask, { question, given, proposed }: YesNo): Promise<boolean> {
  if (given !== undefined) return given;
  return await repeat(ask, `${question} [${proposed ? "Y/n" : "y/N"}] `, (line) => {
    if (line === "") return proposed;
    if (/^y(?:es)?$/i.test(line)) return true;
    return /^no?$/i.test(line) ? false : "Please answer y or n.";
  });
}

/** Replaces what is proposed; "-" empties it. */
async function list(
  ask: Ask,
  question: string,
  proposed: readonly string[],
  read: Reader,
): Promise<readonly string[]> {
  const hint = proposed.length === 0 ? "none" : `${proposed.join(" ")}; "-" for none`;
  return await repeat(ask, `${question}\n  [${hint}] `, (line) => {
    if (line === "") return proposed;
    if (line === "-" || line === "none") return [];
    const values: string[] = [];
    for (const word of line.split(/[\s,]+/).filter((one) => one !== "")) {
      const value = read(word);
      if (value === null) return `"${word}" cannot be read.`;
      values.push(value);
    }
    return values;
  });
}

async function choice(ask: Ask, proposed: SpfAnswers["others"]): Promise<SpfAnswers["others"]> {
  const question =
    "Everybody else: softfail (probably not ours), fail (not ours) or neutral\n" +
    `  [${proposed}] `;
  const { word } = await repeat(ask, question, (line) => {
    const found = othersWords.find((one) => one === (line === "" ? proposed : line.toLowerCase()));
    return found === undefined ? "One of softfail, fail, neutral." : { word: found };
  });
  return word;
}
