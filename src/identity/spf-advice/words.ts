/** Each term of an SPF record in words (RFC 7208 §5, §6). */

import { type Directive, formatMacroString, type MacroString, type SpfRecord } from "#identity/spf";
import { sizeWords } from "./networks.ts";

/** What the world concludes; "" of a pass, which needs no words beside the term. */
const resultWords: Readonly<Record<Directive["result"], string>> = {
  pass: "may send",
  fail: 'fail: "not ours, refuse it"',
  softfail: 'soft fail: "probably not ours"',
  neutral: 'neutral: "we say nothing about it"',
};

/** What the term names, without DNS; `domain` is where the record stands. */
export function describeDirective(directive: Directive, domain: string, isFirst: boolean): string {
  const what = subjectOf(directive, domain, isFirst);
  const { result, mechanism } = directive;
  const isPlain = result === "pass" && mechanism.kind !== "all";
  return isPlain ? what : `${what}: ${resultWords[result]}`;
}

function subjectOf({ mechanism }: Directive, domain: string, isFirst: boolean): string {
  switch (mechanism.kind) {
    case "all":
      return isFirst ? "everything" : "everything else";
    case "ip": {
      const network = { octets: mechanism.network, bits: mechanism.bits };
      return sizeWords(network);
    }
    case "a":
      return `the addresses of ${nameOf(mechanism.domain, domain)}${prefixWords(mechanism)}`;
    case "mx":
      return `the mail servers (MX) of ${nameOf(mechanism.domain, domain)}${prefixWords(mechanism)}`;
    case "include":
      return `whatever the record of ${nameOf(mechanism.domain, domain)} lets pass`;
    case "exists":
      return `any mail for which the name ${nameOf(mechanism.domain, domain)} exists`;
    case "ptr":
      return `any host whose reverse name is ${nameOf(mechanism.domain, domain)} or below it`;
  }
}

function prefixWords({ bits4, bits6 }: { readonly bits4: number; readonly bits6: number }): string {
  const wider = [bits4 < 32 ? `/${bits4} (IPv4)` : "", bits6 < 128 ? `/${bits6} (IPv6)` : ""];
  const words = wider.filter((word) => word !== "").join(" and ");
  return words === "" ? "" : ` with the whole ${words} around each`;
}

export function nameOf(spec: MacroString | undefined, domain: string): string {
  return spec === undefined ? domain : formatMacroString(spec);
}

/** The name itself, when it is the same for every mail. */
export function fixedName(spec: MacroString | undefined, domain: string): string | undefined {
  if (spec === undefined) return domain;
  const name = spec.every((part) => typeof part === "string") ? spec.join("") : undefined;
  return name?.replace(/\.$/, "").toLowerCase();
}

export const faultWords: Readonly<Record<string, string>> = {
  "bad-macro": "a macro that the standard does not know",
  "bad-character": "a character that may not stand there",
  "bad-domain": "a name that is missing or is none",
  "bad-term": "no term of SPF",
  "bad-network": "not an IP address of that kind",
  "bad-prefix": "a prefix length that is too large",
  repeated: "a modifier that stands twice",
};

/** One line a term, without asking the DNS. */
export function describeRecord(
  record: SpfRecord,
  domain: string,
): readonly { readonly term: string; readonly words: string }[] {
  const terms = record.directives.map((directive, index) => ({
    term: directive.text,
    words: describeDirective(directive, domain, index === 0),
  }));
  return [...terms, ...describeModifiers(record, domain)];
}

export function describeModifiers(
  record: SpfRecord,
  domain: string,
): readonly { readonly term: string; readonly words: string }[] {
  const { redirect, explanation } = record;
  const hasAll = record.directives.some(({ mechanism }) => mechanism.kind === "all");
  const terms = [];
  if (redirect !== undefined) {
    const name = nameOf(redirect, domain);
    const words = hasAll
      ? "never used: the record has an all (RFC 7208, 6.1)"
      : `when nothing matched, the record of ${name} decides`;
    terms.push({ term: `redirect=${name}`, words });
  }
  if (explanation !== undefined) {
    const name = nameOf(explanation, domain);
    const words = `the text at ${name} tells those who were refused why`;
    terms.push({ term: `exp=${name}`, words });
  }
  return terms;
}

/** Strangers write records: nothing that moves a terminal's cursor gets through. */
export function printable(text: string): string {
  return text.replace(/[^ -~]/g, "?");
}
