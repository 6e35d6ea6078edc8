/** What speaks for deception, each with the claim and one sentence (CAP-65, CAP-104, CAP-105). */

import { domainToASCII, domainToUnicode } from "node:url";
import type { Evidence } from "#model/verdict";
import { deceptionIn, skeleton } from "./characters.ts";
import { displayAddress, displayDomain, displayName } from "./display.ts";
import { type Found, findings, isRelated, type SenderFacts } from "./facts.ts";
import { hints } from "./hints.ts";
import type { Judgement } from "./state.ts";

/** Ours, in characters: nobody reads more of a name. */
const maxName = 500;

export function gatherEvidence(facts: SenderFacts, judgement: Judgement): readonly Evidence[] {
  const found = findings(facts);
  const all = [
    ...ofDomain(facts, found, judgement),
    ...ofName(facts, found),
    ofCharacters(facts),
    ...hints(facts, found, judgement),
  ];
  return all.filter((one) => one !== undefined);
}

function ofDomain(
  { author, isOurs, known }: SenderFacts,
  { domain, dmarc, wasSeen, isLoggedIn }: Found,
  { text, isOwnForged }: Judgement,
): readonly Evidence[] {
  if (author.kind === "none") return [];
  if (author.kind !== "one") {
    const claimed = author.shown.map(({ email }) => displayAddress(email.slice(0, 320))).join(", ");
    return [{ type: "ambiguous-author", claimed, text: author.why }];
  }
  const evidence: Evidence[] = [];
  if (isOwnForged === true) evidence.push({ type: "own-domain", claimed: domain, text });
  const isRefused = dmarc?.policy === "quarantine" || dmarc?.policy === "reject";
  if (dmarc?.result === "fail" && isRefused && !wasSeen && !isLoggedIn) {
    const says = `${displayDomain(domain)} says this is not from them.`;
    evidence.push({ type: "dmarc-fail", claimed: domain, text: says });
  }
  const other = isOurs(domain) ? undefined : known.find(domain);
  if (other !== undefined) {
    const says = `${displayDomain(domain)} looks like ${displayDomain(other)}, but is another domain.`;
    evidence.push({ type: "look-alike-domain", claimed: other, text: says });
  }
  return evidence;
}

function ofName({ author, isOurs, isNameOfOurs }: SenderFacts, found: Found): readonly Evidence[] {
  const name = author.kind === "one" ? author.name?.slice(0, maxName) : undefined;
  if (author.kind !== "one" || name === undefined) return [];
  const evidence: Evidence[] = [];
  const other = addressesIn(name).find((one) => {
    const domain = one.slice(one.lastIndexOf("@") + 1);
    const isSame = one === author.address.toLowerCase();
    return one.includes("@") ? !isSame : !isRelated(domain, found);
  });
  if (other !== undefined) {
    const text = `The name speaks of ${displayAddress(other)}, but the address is ${displayAddress(author.address)}.`;
    evidence.push({ type: "name-holds-address", claimed: other, text });
  }
  const folded = foldName(name); // "" for a name without letters
  const isElsewhere = found.isLoggedIn || !isOurs(author.domain);
  if (isElsewhere && folded !== "" && isNameOfOurs(folded)) {
    const whose = found.isLoggedIn ? "theirs" : "an address of yours";
    const text = `Somebody in your organisation has this name, but ${displayAddress(author.address)} is not ${whose}.`;
    evidence.push({ type: "name-of-ours", claimed: name, text });
  }
  return evidence;
}

/** A name as it is compared: without case, marks, order of parts, and letters of other scripts. */
export function foldName(name: string): string {
  const words = name
    .slice(0, maxName)
    .normalize("NFKC")
    .split(/[^\p{L}\p{M}\p{N}]+/u)
    .map(skeleton)
    .filter((word) => word !== "");
  return words.sort().join(" ");
}

const domainShape = /(?:[\p{L}\p{N}][\p{L}\p{M}\p{N}-]*\.)+\p{L}[\p{L}\p{M}\p{N}-]+/uy;
/** A word with a dot in a name is a domain where it ends as one; initials and companies do too. */
const commonEnd =
  /\.(?:com|net|org|edu|gov|mil|info|biz|io|eu|uk|de|fr|es|it|nl|be|at|ch|pl|pt|se|no|dk|fi|cz|ie|us|ca|au|br|in|jp|cn|ru)$/;

/** Addresses, and domains, that stand in a text; in lower case, domains as A-labels. */
function addressesIn(name: string): readonly string[] {
  const text = name.normalize("NFKC").toLowerCase();
  const found: string[] = [];
  for (const word of text.split(/[\s<>"'(),;:[\]|/]+/u)) {
    const at = word.lastIndexOf("@");
    domainShape.lastIndex = at + 1;
    const domain = domainShape.exec(word)?.[0];
    if (domain === undefined || word.length > 320) continue;
    const ascii = domainToASCII(domain);
    if (ascii === "") continue;
    if (at > 0) found.push(`${word.slice(0, at)}@${ascii}`);
    else if (commonEnd.test(ascii)) found.push(ascii);
  }
  return found;
}

function ofCharacters({ author }: SenderFacts): Evidence | undefined {
  const people =
    author.kind === "one"
      ? [{ name: author.name, email: `${author.localPart}@${unicodeOf(author.domain)}` }]
      : author.shown;
  for (const text of people.flatMap(({ name, email }) => [name ?? "", email])) {
    const kind = deceptionIn(text.slice(0, maxName));
    if (kind === undefined) continue;
    const says =
      kind === "unseen"
        ? "The sender's name or address holds characters that cannot be seen."
        : "The sender's name or address mixes letters of different scripts.";
    const claimed = displayName(text.slice(0, maxName));
    return { type: "deceptive-characters", claimed, text: says };
  }
  return undefined;
}

function unicodeOf(domain: string): string {
  return domainToUnicode(domain) || domain;
}
