/** The DMARC check of one mail (RFC 9989 §5.3): policy, alignment, pass or fail. */

import type { Resolver } from "#base/dns";
import type { Author } from "#identity/author";
import type { DkimVerdict, DmarcVerdict, SpfVerdict } from "#model/verdict";
import { applyPolicy, discover, noRecord, unusable } from "./policy.ts";
import type { DmarcRecord } from "./record.ts";
import { createRecords, type Records, walkTree } from "./walk.ts";

export interface DmarcQuestion {
  readonly author: Author;
  readonly spf: SpfVerdict | undefined;
  readonly dkim: readonly DkimVerdict[];
}

/**
 * Domains that passed SPF or DKIM, SPF's first. Ours: each can cost a walk, and DKIM looks at no more
 * signatures either.
 */
const maxIdentifiers = 11;

/** Never rejects because of what the domains published or the DNS did: that is a verdict. */
export async function checkDmarc(
  { author, spf, dkim }: DmarcQuestion,
  resolver: Resolver,
): Promise<DmarcVerdict> {
  const nothing = { method: "dmarc", spfAligned: false, dkimAligned: [] } as const;
  if (author.kind !== "one") {
    // §5.3.1: without exactly one Author Domain nothing can be validated.
    const why = `From does not name one author: ${author.why}`;
    return { ...nothing, result: "permerror", fromDomain: "", why };
  }
  const fromDomain = author.domain;
  const records = createRecords(resolver);
  const published = await discover(fromDomain, records);
  if (published === undefined) {
    const why = noRecord(fromDomain, records.queries);
    return { ...nothing, result: "none", fromDomain, why };
  }
  if ("failed" in published) {
    return { ...nothing, result: "temperror", fromDomain, why: published.failed };
  }
  const { policies } = published.record;
  if (typeof policies === "string") {
    // §4.10.1: DMARC does not apply; §9.2 calls what is malformed a permerror.
    const result = policies === "missing" ? "none" : "permerror";
    const why = unusable(published);
    return { ...nothing, result, fromDomain, policyDomain: published.domain, why };
  }
  const passed = { spf: passedBySpf(spf), dkim: passedByDkim(dkim) };
  const [applied, alignment] = await Promise.all([
    applyPolicy(fromDomain, published, policies, resolver),
    align(fromDomain, published.record, passed, records),
  ]);
  const { spfAligned, dkimAligned, organizationalDomain } = alignment;
  const common = {
    ...nothing,
    fromDomain,
    policyDomain: published.domain,
    ...(organizationalDomain !== undefined && { organizationalDomain }),
    spfAligned,
    dkimAligned,
  };
  const { policy, published: asPublished, tag: policyTag } = applied;
  const whole = { ...common, policy, published: asPublished, policyTag };
  if (spfAligned || dkimAligned.length > 0) {
    return { ...whole, result: "pass", why: whyPass(whole) };
  }
  // §5.3.6: without all answers it is neither pass nor fail, and no policy applies.
  const failed = alignment.failed ?? applied.unsure;
  if (failed !== undefined) return { ...common, result: "temperror", why: failed };
  return { ...whole, result: "fail", why: whyFail(whole, passed) };
}

/** §4.4.2: the identity is MAIL FROM; for the null path HELO stands for it (RFC 7208 §2.4). */
function passedBySpf(spf: SpfVerdict | undefined): readonly string[] {
  return spf?.result === "pass" && spf.domain !== "" ? [plain(spf.domain)] : [];
}

/** §4.4.1 */
function passedByDkim(dkim: readonly DkimVerdict[]): readonly string[] {
  const passed = dkim.filter(({ result, domain }) => result === "pass" && domain !== "");
  return [...new Set(passed.map(({ domain }) => plain(domain)))];
}

function plain(domain: string): string {
  return (domain.endsWith(".") ? domain.slice(0, -1) : domain).toLowerCase();
}

interface Passed {
  readonly spf: readonly string[];
  readonly dkim: readonly string[];
}

interface Alignment {
  readonly spfAligned: boolean;
  readonly dkimAligned: readonly string[];
  /** The author's, where alignment needed it. */
  readonly organizationalDomain?: string;
  /** The DNS kept back what would have told about one of the identifiers. */
  readonly failed?: string;
}

/** §4.10.2. The DNS is asked only about identifiers that equality does not decide. */
async function align(
  fromDomain: string,
  { aspf, adkim }: DmarcRecord,
  passed: Passed,
  records: Records,
): Promise<Alignment> {
  const relaxed = [
    ...(aspf === "r" ? passed.spf : []),
    ...(adkim === "r" ? passed.dkim : []),
  ].slice(0, maxIdentifiers);
  const others = [...new Set(relaxed)].filter((one) => sharesParent(one, fromDomain));
  const same = new Set([fromDomain]);
  let failed: string | undefined;
  let organizationalDomain: string | undefined;
  if (others.length > 0) {
    const walk = await walkTree(fromDomain, records);
    if ("failed" in walk) {
      failed = walk.failed;
    } else {
      const top = walk.organizationalDomain;
      organizationalDomain = top;
      const candidates = others.filter((one) => one === top || one.endsWith(`.${top}`));
      const walks = await Promise.all(candidates.map((one) => walkTree(one, records)));
      for (const [index, one] of walks.entries()) {
        if ("failed" in one) failed ??= one.failed;
        else if (one.organizationalDomain === top) same.add(candidates[index] ?? "");
      }
    }
  }
  const aligned = (domains: readonly string[], mode: "r" | "s"): readonly string[] =>
    domains.filter((one) => one === fromDomain || (mode === "r" && same.has(one)));
  return {
    spfAligned: aligned(passed.spf, aspf).length > 0,
    dkimAligned: aligned(passed.dkim, adkim),
    ...(organizationalDomain !== undefined && { organizationalDomain }),
    ...(failed !== undefined && { failed }),
  };
}

/** Two different names can have one Organizational Domain only if they end alike. */
function sharesParent(one: string, other: string): boolean {
  return one !== other && one.split(".").at(-1) === other.split(".").at(-1);
}

type Whole = Pick<
  DmarcVerdict,
  "fromDomain" | "policyDomain" | "policy" | "published" | "policyTag"
> &
  Pick<Alignment, "spfAligned" | "dkimAligned">;

function whyPass({ fromDomain, spfAligned, dkimAligned }: Whole): string {
  const ways = [
    ...(spfAligned ? ["SPF"] : []),
    ...(dkimAligned.length > 0 ? [`DKIM of ${dkimAligned.join(", ")}`] : []),
  ];
  return `${ways.join(" and ")} speaks for ${fromDomain}`;
}

function whyFail(
  { fromDomain, policyDomain, policy, published, policyTag }: Whole,
  { spf, dkim }: Passed,
): string {
  const others = [...new Set([...spf, ...dkim])];
  const who =
    others.length === 0
      ? "nobody speaks for the message"
      : `only ${others.join(", ")} speaks for the message, not ${fromDomain}`;
  const trial = policy === published ? "" : `, on trial, so ${policy}`;
  return `${who}; ${policyDomain} asks for ${policyTag}=${published}${trial}`;
}
