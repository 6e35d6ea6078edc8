/** What the sender is judged by, and small questions about it. */

import type { Author } from "#identity/author";
import type { Source } from "#model/connection";
import type {
  ArcVerdict,
  AuthVerdict,
  DkimVerdict,
  DmarcVerdict,
  Partner,
  SenderIdVerdict,
  SpfVerdict,
  Verdict,
} from "#model/verdict";
import type { LookAlikes } from "./look-alike.ts";

export interface SenderFacts {
  readonly author: Author;
  readonly verdicts: readonly Verdict[];
  readonly source: Source["kind"];
  /** The client proved to be a partner, not an account of ours. */
  readonly partner?: Partner;
  /** Domains that the partner may send for; none: any. */
  readonly partnerDomains?: readonly string[];
  /** Is it a domain of this installation, or below one? @param domain A-labels, lower case */
  isOurs(domain: string): boolean;
  /** Of our own domains and of those of partners. */
  readonly known: LookAlikes;
  /** Does somebody here other than the one who logged in have this name? @param folded by `foldName` */
  isNameOfOurs(folded: string): boolean;
  /** Decoded. */
  readonly subject: string;
  /** First words of the readable text. */
  readonly textSample: string;
  /** Addresses of Reply-To. */
  readonly replyTo: readonly string[];
  /** There is a List-Id field (RFC 2919). */
  readonly isList: boolean;
  /** No mail of this address was here before. */
  readonly isFirstContact: boolean;
}

/** The verdicts by method. A DMARC verdict of another domain than the author's is left out. */
export interface Found {
  /** Of the author, "" when there is not one. */
  readonly domain: string;
  readonly isLoggedIn: boolean;
  readonly spf: SpfVerdict | undefined;
  readonly senderId: SenderIdVerdict | undefined;
  readonly dkim: readonly DkimVerdict[];
  readonly arc: ArcVerdict | undefined;
  readonly dmarc: DmarcVerdict | undefined;
  /** A chain of trusted sealers saw DMARC pass for the author's domain. */
  readonly wasSeen: boolean;
}

export function findings({ author, verdicts }: SenderFacts): Found {
  const domain = author.kind === "one" ? author.domain : "";
  const arc = verdicts.find((one): one is ArcVerdict => one.method === "arc");
  const saw = arc?.result === "pass" && arc.trusted ? arc.saw : undefined;
  return {
    domain,
    isLoggedIn: verdicts.some(
      (one): one is AuthVerdict =>
        one.method === "auth" && one.result === "pass" && one.connector === undefined,
    ),
    spf: verdicts.find((one): one is SpfVerdict => one.method === "spf"),
    senderId: verdicts.find((one): one is SenderIdVerdict => one.method === "sender-id"),
    dkim: verdicts.filter((one): one is DkimVerdict => one.method === "dkim"),
    arc,
    dmarc: verdicts.find(
      (one): one is DmarcVerdict => one.method === "dmarc" && one.fromDomain === domain,
    ),
    wasSeen: domain !== "" && saw?.dmarc === "pass" && saw.fromDomain === domain,
  };
}

/** Does this domain belong to the author's owner? A guess, good enough for hints but not for trust. */
export function isRelated(one: string, { domain, dmarc }: Found): boolean {
  const owner = dmarc?.organizationalDomain;
  return owner === undefined ? ownerOf(one) === ownerOf(domain) : isWithin(one, owner);
}

function ownerOf(domain: string): string {
  const labels = domain.split(".");
  return labels.slice(-1 - suffixLabels(labels)).join(".");
}

/** How many labels others register under: two where they look like "co.uk", else one. */
export function suffixLabels(labels: readonly string[]): 1 | 2 {
  const second = labels.at(-2) ?? "";
  return labels.length > 2 && second.length <= 3 && labels.at(-1)?.length === 2 ? 2 : 1;
}

/** The domain itself or one below it: whoever owns a domain decides about what is below. */
export function isWithin(domain: string, of: string): boolean {
  return domain === of || (of.includes(".") && domain.endsWith(`.${of}`));
}
