/** Domains that pass for one that is known: own domains and those of partners. */

import { domainToUnicode } from "node:url";
import { skeleton } from "./characters.ts";
import { suffixLabels } from "./facts.ts";

/** Precomputed, so that a question costs a few look-ups however many domains are known. */
export interface LookAlikes {
  /** The known domain that this one passes for, or undefined. @param domain A-labels, lower case */
  find(domain: string): string | undefined;
}

/** Shorter names differ in one letter by chance. Characters. */
const minNameForSlip = 5;
const minNameForSwap = 4;
/** Longest domain in DNS, in characters; more is no domain. */
const maxDomain = 255;
/** Of a known domain that is looked for in a longer one. */
const maxLabels = 6;

/** @param domains A-labels, lower case */
export function lookAlikes(domains: readonly string[]): LookAlikes {
  const known = new Set(domains);
  const bySkeleton = new Map<string, string>();
  const bySlip = new Map<string, string[]>();
  const byName = new Map<string, string>();
  for (const domain of known) {
    const seen = seenAs(domain);
    bySkeleton.set(seen, domain);
    const name = nameOf(seen);
    if (name.length >= minNameForSwap) byName.set(name, domain);
    if (name.length < minNameForSlip) continue;
    for (const slip of slips(seen)) {
      const list = bySlip.get(slip);
      if (list === undefined) bySlip.set(slip, [domain]);
      else list.push(domain);
    }
  }

  function findWhole(domain: string): string | undefined {
    const seen = seenAs(domain);
    const same = bySkeleton.get(seen);
    if (same !== undefined) return same;
    if (nameOf(seen).length >= minNameForSlip) {
      for (const slip of slips(seen)) {
        const near = bySlip.get(slip)?.find((one) => isOneSlip(seenAs(one), seen));
        if (near !== undefined) return near;
      }
    }
    return byName.get(nameOf(seen));
  }

  return {
    find(domain) {
      if (known.size === 0 || domain.length > maxDomain) return undefined;
      const labels = domain.split(".");
      const ends = labels.map((_, index) => labels.slice(index).join("."));
      if (ends.some((end) => known.has(end))) return undefined; // it is one, or below one
      const inside = runs(labels).find((run) => known.has(run)); // "mail.example.com.evil.example"
      if (inside !== undefined) return inside;
      for (const end of ends.slice(-maxLabels, -1)) {
        const found = findWhole(end);
        if (found !== undefined) return found;
      }
      return undefined;
    },
  };
}

function seenAs(domain: string): string {
  return skeleton(domainToUnicode(domain) || domain);
}

/** Neighbouring labels that do not reach the end, as a known domain may stand in front of another. */
function runs(labels: readonly string[]): readonly string[] {
  const starts = labels.slice(0, -1).map((_, from) => labels.slice(from, -1).slice(0, maxLabels));
  return starts.flatMap((run) => run.map((_, last) => run.slice(0, last + 1).join(".")));
}

/** Without the suffix under which it is registered, as far as that shows without a list of them. */
function nameOf(domain: string): string {
  const labels = domain.split(".");
  return labels.slice(0, -suffixLabels(labels)).join(".");
}

/** The text itself and without each of its characters: texts one slip apart share one of these. */
function slips(text: string): readonly string[] {
  const all = new Set([text]);
  for (let at = 0; at < text.length; at += 1) all.add(text.slice(0, at) + text.slice(at + 1));
  return [...all];
}

/** Is one a character more, less or different, or two neighbours swapped? */
function isOneSlip(one: string, other: string): boolean {
  let from = 0;
  while (from < one.length && one[from] === other[from]) from += 1;
  let endOne = one.length;
  let endOther = other.length;
  while (endOne > from && endOther > from && one[endOne - 1] === other[endOther - 1]) {
    endOne -= 1;
    endOther -= 1;
  }
  const left = one.slice(from, endOne);
  const right = other.slice(from, endOther);
  if (left.length <= 1 && right.length <= 1) return true;
  return left.length === 2 && right.length === 2 && left[0] === right[1] && left[1] === right[0];
}
