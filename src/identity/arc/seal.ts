/** A set of our own on top of the chain (RFC 8617 §5.1). */

import type { Header } from "#formats/message";
import {
  bodyDigests,
  CanonicalHeader,
  type DkimOrder,
  maxInstances,
  oversigned,
  relaxedField,
  seconds,
  signedFields,
  signedIfPresent,
  signField,
} from "#identity/dkim";
import type { ArcVerdict } from "#model/verdict";
import { fieldsOf } from "./check.ts";
import { type ArcSet, readChain } from "./sets.ts";

/** As for a DKIM signature; the header is the one that goes out, the body hash that of `hashBody`. */
export interface ArcOrder extends Omit<DkimOrder, "expiresAtMs"> {
  /** Of the chain as it came in. */
  readonly verdict: ArcVerdict;
  /** What an Authentication-Results field of ours says, its name without: "mx.example.org; spf=pass …". */
  readonly results: string;
}

/**
 * The three fields with their line breaks, newest on top, to be put above the header. "" where no seal
 * is to be: the chain has ended with cv=fail before (§5.1 step 2), has 50 sets, or could not be checked.
 */
export async function arcSeal(order: ArcOrder): Promise<string> {
  const { header, verdict } = order;
  const chain = readChain(header, bodyDigests(header));
  const instance = chain.highest + 1;
  if (verdict.result === "temperror" || chain.hasFailed || instance > maxInstances) return "";
  const i = ["i", String(instance)] as const;
  const signer = [
    ["a", order.algorithm],
    ["d", order.domain],
    ["s", order.selector],
    ["t", seconds(order.signedAtMs)],
  ] as const;

  const body = order.results.replace(/\r\n$/, "");
  const results = `ARC-Authentication-Results: i=${instance}; ${body}\r\n`;
  // §4.1.2: signatures that stand there are kept safe too.
  const covered = signedFields(header, [...oversigned, ...signedIfPresent, "DKIM-Signature"]);
  const messageTags = [
    i,
    ...signer,
    ["c", "relaxed/relaxed"],
    ["h", covered.names.join(": ")],
    ["bh", order.bodyHash],
  ] as const;
  const message = await signField("ARC-Message-Signature", messageTags, covered.text, order);

  const status = chain.fault === "" ? verdict.result : "fail";
  // §5.1.2: over a broken chain, the seal signs its own set alone.
  const below = status === "pass" ? sealedText(header, chain.sets) : "";
  const own = [results, message].map((field) => `${relaxedField(field)}\r\n`).join("");
  const sealTags = [i, ["cv", status], ...signer] as const;
  return (await signField("ARC-Seal", sealTags, below + own, order)) + message + results;
}

/** The sets that are there, as a seal signs them. */
function sealedText(header: Header, sets: readonly ArcSet[]): string {
  const canonical = new CanonicalHeader(header);
  return sets
    .flatMap(fieldsOf)
    .map((field) => `${canonical.field(field, "relaxed")}\r\n`)
    .join("");
}
