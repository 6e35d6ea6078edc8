/** What a record would have done to mail that was sent already. */

import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import { checkSpf } from "#identity/spf";
import type { SpfResult } from "#model/verdict";
import { overlaid } from "./overlay.ts";

/** Messages of the domain that left from one address. */
export interface SentMail {
  readonly ip: string;
  readonly helo?: string;
  /** Absent: postmaster of the domain, for SPF looks at little else. */
  readonly mailFrom?: string;
  /** Absent: 1. */
  readonly count?: number;
}

export interface SpfReplay {
  /** Messages by result. */
  readonly totals: Readonly<Partial<Record<SpfResult, number>>>;
  /** Sources that would not pass, the largest first. */
  readonly refused: readonly {
    readonly ip: string;
    readonly count: number;
    readonly result: SpfResult;
    readonly why: string;
  }[];
  /** Messages whose return path is of another domain: this record does not speak for them. */
  readonly others: number;
}

/** The mail of one domain under a record that is not published yet. */
export async function replaySpf(
  record: string,
  mails: readonly SentMail[],
  { domain, resolver, clock }: { domain: string; resolver: Resolver; clock: Clock },
): Promise<SpfReplay> {
  const next = overlaid(resolver, domain, record);
  const totals: Partial<Record<SpfResult, number>> = {};
  const refused = new Map<string, SpfReplay["refused"][number]>();
  let others = 0;
  for (const { ip, helo = domain, mailFrom = `postmaster@${domain}`, count = 1 } of mails) {
    const sender = mailFrom === "" ? helo : mailFrom.slice(mailFrom.lastIndexOf("@") + 1);
    if (sender.toLowerCase() !== domain) {
      others += count;
      continue;
    }
    const question = { ip, helo, mailFrom, receiver: "localhost" };
    const { result, why } = await checkSpf(question, next, clock);
    totals[result] = (totals[result] ?? 0) + count;
    if (result === "pass") continue;
    const key = `${ip} ${result}`;
    const before = refused.get(key)?.count ?? 0;
    refused.set(key, { ip, count: before + count, result, why });
  }
  return { totals, refused: [...refused.values()].toSorted((a, b) => b.count - a.count), others };
}
