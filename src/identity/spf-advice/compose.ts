/** From the owner's answers to the text of a record, and back from a record to answers. */

import { type Directive, parseSpfRecord } from "#identity/spf";
import { formatNetwork, parseNetwork } from "./networks.ts";
import { fixedName } from "./words.ts";

/** What the wizard asks. Names are domains in ASCII, addresses may be networks. */
export interface SpfAnswers {
  readonly inboundServersMaySend: boolean;
  /** The host that has the domain's own name. */
  readonly aMaySend: boolean;
  /** Of our own servers that send to the Internet. */
  readonly addresses: readonly string[];
  /** Domains of providers that send for us, each with an SPF record of its own. */
  readonly providers: readonly string[];
  /** Hosts, addresses or networks that take our mail and send it on to the Internet. */
  readonly smartHosts: readonly string[];
  /** Do our servers deliver themselves while the smart hosts are down? */
  readonly directFallback: boolean;
  /** What the world shall conclude of everybody else. */
  readonly others: "softfail" | "fail" | "neutral";
}

const endings = { softfail: "~all", fail: "-all", neutral: "?all" } as const;

/**
 * What costs no look-up stands first, so that most mail needs none (RFC 7208 §4.6.4).
 *
 * @param answers with domains and addresses that were checked: whatever else stands there is written
 */
export function composeSpf(answers: SpfAnswers): string {
  const hosts = answers.smartHosts.filter((host) => parseNetwork(host) === undefined);
  const networks = [...answers.addresses, ...answers.smartHosts].flatMap(
    (text) => parseNetwork(text) ?? [],
  );
  const terms = [
    "v=spf1",
    ...networks.map((one) => `${one.octets.length === 4 ? "ip4" : "ip6"}:${formatNetwork(one)}`),
    ...(answers.inboundServersMaySend ? ["mx"] : []),
    ...(answers.aMaySend ? ["a"] : []),
    ...hosts.map((host) => `a:${host}`),
    ...answers.providers.map((domain) => `include:${domain}`),
    endings[answers.others],
  ];
  return [...new Set(terms)].join(" ");
}

/**
 * Answers that a present record gives, so that nobody forgets a sender who is listed today.
 *
 * @param text untrusted
 * @returns undefined when the record cannot be read
 */
export function suggestAnswers(
  text: string,
  domain: string,
): { readonly answers: SpfAnswers; readonly left: readonly string[] } | undefined {
  const parsed = parseSpfRecord(text);
  if (!parsed.ok) return undefined;
  const answers = {
    inboundServersMaySend: false,
    aMaySend: false,
    addresses: [] as string[],
    providers: [] as string[],
    smartHosts: [] as string[],
    directFallback: false,
    others: "softfail" as SpfAnswers["others"],
  };
  const left: string[] = [];
  for (const directive of parsed.value.directives) {
    if (!take(directive, domain, answers)) left.push(directive.text);
  }
  if (parsed.value.redirect !== undefined) {
    const target = fixedName(parsed.value.redirect, domain);
    if (target === undefined) left.push("redirect");
    else answers.providers.push(target);
  }
  return { answers, left };
}

type Open = {
  -readonly [Key in keyof SpfAnswers]: SpfAnswers[Key] extends readonly string[]
    ? string[]
    : SpfAnswers[Key];
};

/** False when no question of ours can stand for the term. */
function take({ mechanism, result }: Directive, domain: string, into: Open): boolean {
  if (mechanism.kind === "all") {
    if (result !== "pass") into.others = result;
    return result !== "pass";
  }
  if (result !== "pass") return false;
  if (mechanism.kind === "ip") {
    into.addresses.push(formatNetwork({ octets: mechanism.network, bits: mechanism.bits }));
    return true;
  }
  const name = fixedName(mechanism.domain, domain);
  const isWide = "bits4" in mechanism && (mechanism.bits4 < 32 || mechanism.bits6 < 128);
  if (name === undefined || isWide) return false;
  const isOwn = name === domain;
  switch (mechanism.kind) {
    case "include":
      into.providers.push(name);
      return true;
    case "a":
      if (isOwn) into.aMaySend = true;
      else into.smartHosts.push(name);
      return true;
    case "mx":
      if (isOwn) into.inboundServersMaySend = true;
      return isOwn;
    default:
      return false;
  }
}

/**
 * The strings of a TXT record, each at most 255 octets (RFC 1035 §3.3.14); joined they are the text
 * again. Cut behind a space where one is near, for the sake of those who read zone files.
 *
 * @param text ASCII
 */
export function characterStrings(text: string): string[] {
  const strings: string[] = [];
  let from = 0;
  while (text.length - from > 255) {
    const space = text.lastIndexOf(" ", from + 254);
    const end = space >= from + 128 ? space + 1 : from + 255;
    strings.push(text.slice(from, end));
    from = end;
  }
  return [...strings, text.slice(from)];
}
