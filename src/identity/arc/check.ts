/** Does the chain of custody hold, and whom in it do we believe? (RFC 8617 §5.2) */

import type { Resolver } from "#base/dns";
import { type Header, valueOf } from "#formats/message";
import {
  CanonicalHeader,
  type CheckedMessage,
  checkSignature,
  coverageOf,
  isExpired,
} from "#identity/dkim";
import type { ArcVerdict } from "#model/verdict";
import { readSeenDmarc } from "./results.ts";
import { type ArcSet, readChain } from "./sets.ts";

export interface ArcPorts {
  readonly resolver: Resolver;
  readonly nowMs: number;
  /** d= of seals that are believed; in lower case. */
  readonly trustedSealers: readonly string[];
}

/** How a signature or a seal fared. */
interface Outcome {
  readonly result: "pass" | "fail" | "temperror";
  readonly why: string;
}

/** Never rejects, whatever message and DNS say. A chain that passes is not yet a trusted one. */
export async function checkArc(message: CheckedMessage, ports: ArcPorts): Promise<ArcVerdict> {
  const { header, digests } = message;
  const chain = readChain(header, digests);
  const sealers = chain.sets.map(({ seal }) => seal.domain).toReversed();
  const judge = (result: ArcVerdict["result"], why: string): ArcVerdict => ({
    method: "arc",
    result,
    sealers,
    trusted: false,
    why,
  });
  if (header.truncated) return judge("fail", "the header is too large to be judged");
  if (chain.hasFailed) return judge("fail", "the newest seal says that the chain has failed");
  if (chain.fault !== "") return judge("fail", chain.fault);
  const newest = chain.sets.at(-1);
  if (newest === undefined) return judge("none", "there is no chain");

  const canonical = new CanonicalHeader(header);
  const checked: Checked = { ...message, canonical };
  const outcomes = await Promise.all([
    checkMessage(newest, checked, ports),
    ...chain.sets.toReversed().map((set) => checkSeal(set, chain.sets, canonical, ports)),
  ]);
  const worst =
    outcomes.find(({ result }) => result === "fail") ??
    outcomes.find(({ result }) => result === "temperror");
  if (worst !== undefined) return judge(worst.result, worst.why);

  const passed = judge("pass", await oldestPass(chain.sets, checked, ports));
  const believed = believedSet(chain.sets, ports.trustedSealers);
  if (believed === undefined) return passed;
  const open = openTo(newest, checked);
  if (open !== "") return { ...passed, why: `${passed.why}, but not to be trusted: ${open}` };
  return { ...passed, trusted: true, ...sawOf(header, believed) };
}

interface Checked extends CheckedMessage {
  readonly canonical: CanonicalHeader;
}

/** ARC-Message-Signature (§5.2 step 4): the message is as the sealer gave it away. */
async function checkMessage(set: ArcSet, message: Checked, ports: ArcPorts): Promise<Outcome> {
  const { instance, message: signature } = set;
  const fail = (why: string): Outcome => ({
    result: "fail",
    why: `ARC-Message-Signature i=${instance} of ${signature.domain}: ${why}`,
  });
  if (isExpired(signature, ports.nowMs)) return fail("it has expired");
  const body = message.digests.digestFor(signature);
  if (body?.hash !== signature.bodyHash) return fail("the body was changed");
  const { names, field, headerForm } = signature;
  const signed = (): Buffer => message.canonical.signed(names, field, headerForm);
  const { result, why } = await checkSignature(signature, signed, ports.resolver);
  if (result === "pass") return { result, why: "" };
  return { ...fail(why), ...(result === "temperror" && { result }) };
}

/** ARC-Seal (§5.2 step 6): this set and those below it are as the sealer left them. */
async function checkSeal(
  set: ArcSet,
  sets: readonly ArcSet[],
  canonical: CanonicalHeader,
  { resolver }: ArcPorts,
): Promise<Outcome> {
  const signed = (): Buffer => {
    const below = sets.slice(0, set.instance - 1).flatMap(fieldsOf);
    const whole = [...below, set.results, set.message.field];
    const text = whole.map((field) => `${canonical.field(field, "relaxed")}\r\n`).join("");
    return Buffer.from(text + canonical.unsigned(set.seal.field, "relaxed"), "latin1");
  };
  const { result, why } = await checkSignature(set.seal, signed, resolver);
  if (result === "pass") return { result, why: "" };
  return {
    result: result === "temperror" ? result : "fail",
    why: `ARC-Seal i=${set.instance} of ${set.seal.domain}: ${why}`,
  };
}

/** §5.1.1: in the order in which seals sign them. */
export function fieldsOf({ results, message, seal }: ArcSet): readonly ArcSet["results"][] {
  return [results, message.field, seal.field];
}

/** §5.2 step 5, in words: since which set nobody has changed the message. The newest has passed. */
async function oldestPass(
  sets: readonly ArcSet[],
  message: Checked,
  ports: ArcPorts,
): Promise<string> {
  const earlier = sets.slice(0, -1).toReversed();
  const outcomes = await Promise.all(earlier.map((set) => checkMessage(set, message, ports)));
  const broken = outcomes.findIndex(({ result }) => result !== "pass");
  const oldest = broken < 0 ? 1 : sets.length - broken;
  return `${sets.length} sets, unchanged since i=${oldest} (oldest-pass)`;
}

/** The oldest of those sets that are trusted without a gap from the newest down. */
function believedSet(sets: readonly ArcSet[], trusted: readonly string[]): ArcSet | undefined {
  const newestFirst = sets.toReversed();
  const gap = newestFirst.findIndex(({ seal }) => !trusted.includes(seal.domain));
  return gap < 0 ? newestFirst.at(-1) : newestFirst[gap - 1];
}

/** What others could have put in although the newest signature fits; "" for nothing. */
function openTo({ message: signature }: ArcSet, { canonical, digests }: Checked): string {
  const body = digests.digestFor(signature);
  if (!signature.names.includes("from")) return "From is not signed";
  return body === undefined ? "" : coverageOf(signature, canonical, body).gap;
}

function sawOf(header: Header, { results }: ArcSet): Pick<ArcVerdict, "saw"> {
  const saw = readSeenDmarc(valueOf(header, results));
  return saw === undefined ? {} : { saw };
}
