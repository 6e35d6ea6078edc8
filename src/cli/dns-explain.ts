/** Any DNS record of mail in words: which kind it is, and what each part means. */

import { isIP } from "node:net";
import { parseDomain } from "#formats/address";
import { parseSpfRecord } from "#identity/spf";
import { describeRecord, printable } from "#identity/spf-advice";
import {
  type Explained,
  explainDkim,
  explainDmarc,
  explainMtaSts,
  explainPolicyFile,
  explainTlsReporting,
} from "./dns-explain-tags.ts";

export type RecordKind =
  | "SPF"
  | "Sender ID"
  | "DKIM"
  | "DMARC"
  | "MTA-STS"
  | "MTA-STS policy"
  | "TLS-RPT"
  | "TLSA"
  | "SRV"
  | "MX";

export interface ExplainedRecord {
  readonly kind: RecordKind;
  /** One line: what such a record is for. */
  readonly purpose: string;
  /** As published, with "?" for what is not printable ASCII. */
  readonly text: string;
  readonly parts: readonly Explained[];
}

/** Ours: more than any honest record. */
const maxLength = 16_384;

/** Undefined when it is none of the records that mail uses. */
export function explainRecord(given: string, name = ""): ExplainedRecord | undefined {
  const whole = joinStrings(given.slice(0, maxLength)).trim();
  if (/^version:\s*STSv1\s*$/m.test(whole)) {
    const clean = whole.split(/\r?\n/).map(printable).join("\n");
    return explained("MTA-STS policy", clean, explainPolicyFile(clean));
  }
  const text = printable(whole);
  for (const [pattern, kind, explain] of byVersion) {
    if (pattern.test(text)) return explained(kind, text, explain(text, name));
  }
  if (/(?:^|;)\s*p=/.test(text) && (/\._domainkey\b/.test(name) || /(?:^|;)\s*k=/.test(text))) {
    return explained("DKIM", text, explainDkim(text)); // §3.6.1: the version may be left out
  }
  return explainFields(text, name);
}

function explained(kind: RecordKind, text: string, parts: readonly Explained[]): ExplainedRecord {
  return { kind, purpose: purposes[kind], text, parts };
}

const purposes: Readonly<Record<RecordKind, string>> = {
  SPF: "which servers may send mail of the domain (RFC 7208)",
  "Sender ID": "a historic relative of SPF, read by few (RFC 4406)",
  DKIM: "a key that verifies the domain's signatures (RFC 6376)",
  DMARC: "what to do with mail that only pretends to be of the domain (RFC 9989)",
  "MTA-STS": "senders shall use verified TLS; the policy is a file on the web (RFC 8461)",
  "MTA-STS policy": "how senders shall reach the domain's servers (RFC 8461)",
  "TLS-RPT": "where senders report TLS failures (RFC 8460)",
  TLSA: "which certificate the server has; needs DNSSEC (RFC 6698, RFC 7672)",
  SRV: "where a service of the domain is (RFC 2782, RFC 6186)",
  MX: "which server takes mail of the domain (RFC 5321)",
};

const byVersion: readonly (readonly [
  RegExp,
  RecordKind,
  (text: string, name: string) => readonly Explained[],
])[] = [
  [/^v=spf1(?: |$)/i, "SPF", explainSpf],
  [/^spf2\.0\//i, "Sender ID", explainSenderId],
  [/^v\s*=\s*DMARC1\b/, "DMARC", explainDmarc],
  [/^v\s*=\s*STSv1\b/, "MTA-STS", explainMtaSts],
  [/^v\s*=\s*TLSRPTv1\b/, "TLS-RPT", explainTlsReporting],
  [/^v\s*=\s*DKIM1\b/, "DKIM", explainDkim],
];

/** Zone files write a text as several quoted strings. */
function joinStrings(text: string): string {
  const strings = text.match(/"(?:[^"\\]|\\.)*"/g);
  if (strings === null) return text;
  return strings.map((one) => one.slice(1, -1).replace(/\\(.)/g, "$1")).join("");
}

function explainSpf(text: string, name: string): readonly Explained[] {
  const parsed = parseSpfRecord(text);
  if (parsed.ok) {
    const terms = describeRecord(parsed.value, name === "" ? "the domain" : name);
    const hasEnd = /[ +~?-]all\b|redirect=/i.test(text);
    return [
      ...terms.map(({ term, words }) => ({ part: term, words, ...levelOfTerm(term) })),
      ...(hasEnd
        ? []
        : [
            {
              part: "all",
              words: "is missing: of strangers it says nothing",
              level: "warn" as const,
            },
          ]),
    ];
  }
  const part = text.slice(parsed.at, parsed.at + 40);
  const words = `from character ${parsed.at}: ${parsed.fault}; receivers give "permerror" to all mail`;
  return [{ part, words, level: "bad" }];
}

function levelOfTerm(term: string): Pick<Explained, "level"> {
  if (/^\+?all$/i.test(term)) return { level: "bad" };
  return /^(?:\?all|[-+~?]?ptr(?::.*)?)$/i.test(term) ? { level: "warn" } : {};
}

/** RFC 4406 §3.1: the terms are those of SPF. */
function explainSenderId(text: string, name: string): readonly Explained[] {
  const space = text.indexOf(" ");
  const version = space < 0 ? text : text.slice(0, space);
  const scopes = version.slice("spf2.0/".length).split(",");
  const words = scopes.map((scope) =>
    scope === "pra"
      ? "the address that people see"
      : scope === "mfrom"
        ? "the return path"
        : `"${scope}"?`,
  );
  const terms = explainSpf(`v=spf1${space < 0 ? "" : text.slice(space)}`, name);
  return [{ part: version, words: `speaks for ${words.join(" and ")}` }, ...terms];
}

function explainFields(text: string, name: string): ExplainedRecord | undefined {
  const words = text.split(/ +/);
  const numbers = words.slice(0, -1).every((word) => /^\d{1,5}$/.test(word));
  const [last = ""] = words.slice(-1);
  if (!numbers) return tlsaOfPieces(words, text);
  const target = last === "." ? "." : parseDomain(last.replace(/\.$/, "").replace(/^_/, ""));
  if (words.length === 2 && target !== null) return explained("MX", text, explainMx(words));
  const isHex = /^(?:[0-9a-f]{2})+$/i.test(last);
  // A host may be called "abcd" too: the name decides, else the length.
  const isTlsa = words.length === 4 && isHex && (last.length >= 32 || /^_\d+\._/.test(name));
  if (isTlsa) return explained("TLSA", text, explainTlsa(words));
  if (words.length === 4 && target !== null) return explained("SRV", text, explainSrv(words, name));
  return undefined;
}

/** Long data may stand in several pieces in a zone file. */
function tlsaOfPieces(words: readonly string[], text: string): ExplainedRecord | undefined {
  const [usage = "", selector = "", matching = "", ...data] = words;
  const isNumbered = [usage, selector, matching].every((word) => /^\d{1,3}$/.test(word));
  if (!isNumbered || data.length < 2 || !data.every((piece) => /^[0-9a-f]+$/i.test(piece))) {
    return undefined;
  }
  return explained("TLSA", text, explainTlsa([usage, selector, matching, data.join("")]));
}

function explainMx([preference = "", host = ""]: readonly string[]): readonly Explained[] {
  if (host === ".")
    return [{ part: `${preference} .`, words: "the domain takes no mail (RFC 7505)" }];
  const isAddress = isIP(host.replace(/\.$/, "")) !== 0;
  return [
    { part: preference, words: "preference: the lowest is tried first" },
    isAddress
      ? { part: host, words: "an address: a host name must stand here", level: "bad" }
      : { part: host, words: "the server; its name must have an A or AAAA record, no CNAME" },
  ];
}

/** RFC 6698 §2.1; for SMTP RFC 7672 §3.1. */
function explainTlsa([usage = "", selector = "", matching = "", data = ""]: readonly string[]) {
  const usages: Readonly<Record<string, Omit<Explained, "part">>> = {
    "0": { words: "PKIX-TA: SMTP senders do not use it (RFC 7672, 3.1.3)", level: "warn" },
    "1": { words: "PKIX-EE: SMTP senders do not use it (RFC 7672, 3.1.3)", level: "warn" },
    "2": { words: "DANE-TA: an authority that the server's certificate must come from" },
    "3": { words: "DANE-EE: the server's own certificate" },
  };
  const selectors: Readonly<Record<string, string>> = {
    "0": "the whole certificate: changes at every renewal",
    "1": "only its public key: stays when a renewal keeps the key",
  };
  const lengths: Readonly<Record<string, readonly [words: string, digits?: number]>> = {
    "0": ["the octets themselves"],
    "1": ["their SHA-256", 64],
    "2": ["their SHA-512", 128],
  };
  const [matchingWords, digits] = lengths[matching] ?? [undefined];
  const isWhole = digits === undefined || data.length === digits;
  const unknown = (part: string): Explained => ({
    part,
    words: "unknown: senders pass over the record",
    level: "bad",
  });
  const known = (part: string, words: string | undefined): Explained =>
    words === undefined ? unknown(part) : { part, words };
  const use = usages[usage];
  return [
    use === undefined ? unknown(usage) : { part: usage, ...use },
    known(selector, selectors[selector]),
    known(matching, matchingWords),
    isWhole
      ? { part: data, words: "what must match" }
      : {
          part: data,
          words: `has ${data.length} digits, must have ${digits}`,
          level: "bad" as const,
        },
  ];
}

/** The services that clients look for (RFC 6186, RFC 8314 §5.1, RFC 8620 §2.2). */
export const services: Readonly<Record<string, string>> = {
  "_submissions._tcp": "sending mail, with TLS from the start",
  "_submission._tcp": "sending mail, with STARTTLS",
  "_imaps._tcp": "reading mail by IMAP, with TLS from the start",
  "_imap._tcp": "reading mail by IMAP, with STARTTLS",
  "_pop3s._tcp": "fetching mail by POP3, with TLS from the start",
  "_pop3._tcp": "fetching mail by POP3, with STARTTLS",
  "_jmap._tcp": "reading mail by JMAP",
  "_autodiscover._tcp": "settings for Outlook",
};

function explainSrv(words: readonly string[], name: string): readonly Explained[] {
  const [priority = "", weight = "", port = "", host = ""] = words;
  const service = services[name.split(".").slice(0, 2).join(".").toLowerCase()];
  const about = service === undefined ? "" : ` of the service "${service}"`;
  if (host === ".") return [{ part: words.join(" "), words: `says that there is none${about}` }];
  return [
    { part: priority, words: "priority: the lowest is tried first" },
    { part: weight, words: "weight among those of the same priority" },
    Number(port) > 65_535
      ? { part: port, words: "no port", level: "bad" }
      : { part: port, words: `port${about}` },
    { part: host, words: "host" },
  ];
}
