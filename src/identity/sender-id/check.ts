/** The Sender ID check of one message: ten statuses, their result words and classes (RFC 4406 §4). */

import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import { parseMailbox, splitPath } from "#formats/address";
import type { Header } from "#formats/message";
import { checkHost, type Scope } from "#identity/spf";
import type { Source } from "#model/connection";
import type { SenderIdClass, SenderIdStatus, SenderIdVerdict, SpfResult } from "#model/verdict";
import { findPra, type Pra, type PraMode } from "./pra.ts";
import { isSameMailbox } from "./submitter.ts";

export interface SenderIdQuestion {
  readonly header: Header;
  /** Reverse path, "" for the null path. */
  readonly mailFrom: string;
  readonly source: Source;
  /** Our host name, for explanations. */
  readonly receiver: string;
  readonly mode: PraMode;
  /** What MAIL FROM announced as SUBMITTER (RFC 4405). */
  readonly submitter?: string;
}

/**
 * What each status is to those who know three classes, and in the words of RFC 4406 §4.2. A fail of
 * a domain that cannot have a list is no word of a list.
 *
 * Differs from RFC 4406: it has no word for a message without the address; RFC 8601 calls an
 * evaluation that lacks a header field "permerror" (§2.7.1).
 */
const meanings: Readonly<Record<SenderIdStatus, readonly [SpfResult, SenderIdClass]>> = {
  pass: ["pass", "listed"],
  neutral: ["neutral", "no-list"],
  softfail: ["softfail", "not-listed"],
  none: ["none", "no-list"],
  "not-permitted": ["fail", "not-listed"],
  "malformed-domain": ["fail", "no-list"],
  "non-existent-domain": ["fail", "no-list"],
  temperror: ["temperror", "no-list"],
  permerror: ["permerror", "no-list"],
  "no-pra": ["permerror", "no-list"],
};

/** The address that is judged, wherever it comes from. */
interface Responsible {
  readonly address: string;
  readonly localPart: string;
  readonly domain: string;
  readonly malformed: boolean;
  readonly header: NonNullable<SenderIdVerdict["praHeader"]>;
  readonly scope: Scope;
}

/** Never rejects because of what the message, the domain or the DNS says: that is a verdict. */
export async function checkSenderId(
  question: SenderIdQuestion,
  resolver: Resolver,
  clock: Clock,
): Promise<SenderIdVerdict> {
  const pra = findPra(question.header);
  const judged = responsible(pra, question);
  if (judged === undefined) {
    const why = pra.kind === "found" ? "" : pra.why;
    return verdict("no-pra", `${why}${submitterRemark("", question)}`);
  }
  const found = { pra: judged.address, praHeader: judged.header, domain: judged.domain };
  const { status, why } = await judge(judged, question, resolver, clock);
  return { ...verdict(status, `${why}${submitterRemark(judged.address, question)}`), ...found };
}

function responsible(pra: Pra, { mode, mailFrom }: SenderIdQuestion): Responsible | undefined {
  if (pra.kind === "found") return { ...pra, scope: "pra" };
  if (pra.kind !== "missing" || mode !== "mail-from-fallback") return undefined;
  const parsed = parseMailbox(mailFrom, true);
  if (!parsed.ok) return undefined; // the null path too
  const { localPart, domain } = splitPath(parsed.value);
  const malformed = !domain.includes(".") || domain.startsWith("[");
  const scope = "mfrom"; // RFC 4406 §4.1: that identity has its own
  return { address: parsed.value, localPart, domain, malformed, header: "MAIL FROM", scope };
}

async function judge(
  { localPart, domain, malformed, scope }: Responsible,
  { source, receiver }: SenderIdQuestion,
  resolver: Resolver,
  clock: Clock,
): Promise<{ readonly status: SenderIdStatus; readonly why: string }> {
  if (malformed) return { status: "malformed-domain", why: `${domain} is not a whole domain name` };
  if (source.kind === "unknown") {
    return { status: "none", why: "it is not known which host sent it" };
  }
  const { address: ip, helo } = source;
  const asked = { ip, helo, receiver, localPart, domain, scope };
  const { result, why, nxdomain } = await checkHost(asked, resolver, clock);
  // §4.3: such a domain sends no mail.
  if (nxdomain) return { status: "non-existent-domain", why: `${domain} does not exist` };
  return { status: result === "fail" ? "not-permitted" : result, why };
}

function verdict(status: SenderIdStatus, why: string): SenderIdVerdict {
  const [result, classOf] = meanings[status];
  return { method: "sender-id", result, status, class: classOf, domain: "", why };
}

/** RFC 4405 §4.2: what was announced must be what the message says. */
function submitterRemark(pra: string, { submitter }: SenderIdQuestion): string {
  if (submitter === undefined || isSameMailbox(submitter, pra)) return "";
  return `; SUBMITTER named ${submitter} instead`;
}
