/** Records made of tag=value, tag by tag: DKIM, DMARC, MTA-STS, TLS-RPT. */

import { createPublicKey } from "node:crypto";
import { parseTagList } from "#formats/tag-list";

export interface Explained {
  /** Tag or term as published. */
  readonly part: string;
  readonly words: string;
  /** "bad": receivers cannot use it; "warn": they can, but the owner should not leave it so. */
  readonly level?: "bad" | "warn";
}

/** What a value means; a text alone is fine. */
type Meaning = string | Omit<Explained, "part">;
type Tags = Readonly<Record<string, (value: string) => Meaning>>;

const bad = (words: string): Meaning => ({ words, level: "bad" });
const warn = (words: string): Meaning => ({ words, level: "warn" });

function oneOf(words: Readonly<Record<string, Meaning>>): (value: string) => Meaning {
  return (value) =>
    Object.hasOwn(words, value.toLowerCase())
      ? (words[value.toLowerCase()] ?? "")
      : bad(`must be one of ${Object.keys(words).join(", ")}`);
}

/**
 * @param text untrusted, printable ASCII
 * @param required tags without which the record says nothing
 */
function explainTags(text: string, tags: Tags, required: readonly string[]): Explained[] {
  const parsed = parseTagList(text);
  if (!parsed.ok) {
    const part = text.slice(parsed.at, parsed.at + 40);
    const why = tagFaults[parsed.fault] ?? parsed.fault;
    return [
      {
        part,
        words: `from character ${parsed.at}: ${why}; the record counts for nothing`,
        level: "bad",
      },
    ];
  }
  const parts: Explained[] = [];
  for (const [name, value] of parsed.value) {
    const means = Object.hasOwn(tags, name) ? tags[name] : undefined;
    const meaning = means?.(value) ?? "unknown: receivers pass over it";
    const more = typeof meaning === "string" ? { words: meaning } : meaning;
    parts.push({ part: `${name}=${value}`, ...more });
  }
  for (const name of required) {
    if (parsed.value.has(name)) continue;
    parts.push({
      part: `${name}=`,
      words: "is missing, and the record says nothing without it",
      level: "bad",
    });
  }
  return parts;
}

const tagFaults: Readonly<Record<string, string>> = {
  "too-long": "too long",
  "bad-character": "a character that may not stand there",
  "bad-name": "no tag=value here",
  "repeated-tag": "a tag that stands twice",
};

/** RFC 6376 §3.6.1, RFC 8301, RFC 8463. */
export function explainDkim(text: string): Explained[] {
  const type = /(?:^|;)\s*k=\s*ed25519\s*(?:;|$)/i.test(text) ? "ed25519" : "rsa";
  const tags: Tags = {
    v: (value) => (value === "DKIM1" ? "a DKIM key" : bad("must be DKIM1")),
    k: oneOf({ rsa: "the key is RSA", ed25519: "the key is Ed25519 (RFC 8463)" }),
    h: (value) =>
      value.split(":").some((hash) => hash.trim() === "sha256")
        ? `hashes that signatures may use: ${value}`
        : bad("without sha256 no signature can be verified (RFC 8301)"),
    p: (value) => keyWords(value, type),
    s: (value) =>
      /^(?:\*|.*\bemail\b.*)$/.test(value) ? "for mail" : bad("not for mail: no signature passes"),
    t: (value) =>
      [...value.toLowerCase().split(":")].map((flag) => flag.trim()).includes("y")
        ? warn("testing: receivers may treat failures as if there were no signature")
        : "s: the signer's address must be of this very domain, not of one below it",
    n: () => "a note for people",
    g: () => "of an older standard: nobody reads it",
  };
  return explainTags(text, tags, ["p"]);
}

function keyWords(value: string, type: "rsa" | "ed25519"): Meaning {
  if (value === "") return warn("empty: the key is withdrawn, its signatures fail");
  const octets = Buffer.from(value.replace(/\s/g, ""), "base64");
  if (type === "ed25519") {
    return octets.length === 32 ? "the public key, 256 bits" : bad("not 32 octets: no Ed25519 key");
  }
  const bits = rsaBits(octets);
  if (bits === undefined) return bad("no RSA public key can be read from it");
  if (bits < 1024) return bad(`the public key has ${bits} bits: receivers ignore it (RFC 8301)`);
  if (bits < 2048) return warn(`the public key has ${bits} bits; 2048 are advised (RFC 8301)`);
  return `the public key, ${bits} bits`;
}

function rsaBits(octets: Buffer): number | undefined {
  for (const type of ["spki", "pkcs1"] as const) {
    try {
      const key = createPublicKey({ key: octets, format: "der", type });
      if (key.asymmetricKeyType === "rsa") return key.asymmetricKeyDetails?.modulusLength;
    } catch {
      // The other form may fit.
    }
  }
  return undefined;
}

const policies = {
  none: warn("nothing: only watch and report"),
  quarantine: "treat it as suspicious: mostly the junk folder",
  reject: "refuse it",
};

function policyWords(whose: string): (value: string) => Meaning {
  const read = oneOf(policies);
  return (value) => {
    const meaning = read(value);
    if (typeof meaning === "string") return `${whose}: ${meaning}`;
    return { ...meaning, words: `${whose}: ${meaning.words}` };
  };
}

function reportWords(what: string): (value: string) => Meaning {
  return (value) => {
    const targets = value.split(",").map((uri) => uri.trim());
    const odd = targets.find((uri) => !/^(?:mailto:[^@\s]+@[^@\s]+|https:\/\/\S+)$/i.test(uri));
    return odd === undefined
      ? `${what} go to ${targets.join(" and ")}`
      : bad(`"${odd}" is no address to report to`);
  };
}

const alignment = (what: string): ((value: string) => Meaning) =>
  oneOf({
    r: `${what}: a domain of the same organisation is enough (relaxed)`,
    s: `${what}: must be the very same domain (strict)`,
  });

/** RFC 9989 §4.7. */
export function explainDmarc(text: string): Explained[] {
  const gone = (): Meaning => warn("of the older standard: RFC 9989 took it out");
  const tags: Tags = {
    v: (value) => (value === "DMARC1" ? "a DMARC policy" : bad("must be DMARC1")),
    p: policyWords("mail of this domain that fails"),
    sp: policyWords("mail of domains below it that fails"),
    np: policyWords("mail of names below it that do not exist"),
    adkim: alignment("DKIM's domain"),
    aspf: alignment("SPF's domain"),
    rua: reportWords("daily reports"),
    ruf: reportWords("reports of single failures"),
    fo: (value) => `when to report a single failure: ${value}`,
    psd: oneOf({
      y: "registrants stand below this name, as below a top-level domain",
      n: "this is the organisation's domain: do not look further up",
      u: "whether this is the organisation's domain is found by the usual way",
    }),
    t: oneOf({
      y: warn("testing: receivers apply the policy one step milder"),
      n: "the policy is meant in earnest",
    }),
    pct: gone,
    rf: gone,
    ri: gone,
  };
  const parts = explainTags(text, tags, []);
  const names = new Set(parts.map(({ part }) => part.split("=")[0]));
  if (parts[0]?.level === "bad" || names.has("p")) return parts;
  const missing: Explained = names.has("rua")
    ? { part: "p=", words: "is missing: with rua it counts as p=none", level: "warn" }
    : { part: "p=", words: "is missing, and the record says nothing without it", level: "bad" };
  return [...parts, missing];
}

/** RFC 8461 §3.1. */
export function explainMtaSts(text: string): Explained[] {
  const tags: Tags = {
    v: (value) =>
      value === "STSv1"
        ? "MTA-STS: a policy file tells how to reach our servers"
        : bad("must be STSv1"),
    id: (value) =>
      /^[A-Za-z0-9]{1,32}$/.test(value)
        ? "of this policy: must change whenever the file changes"
        : bad("must be 1 to 32 letters and digits"),
  };
  return explainTags(text, tags, ["v", "id"]);
}

/** RFC 8460 §3. */
export function explainTlsReporting(text: string): Explained[] {
  const tags: Tags = {
    v: (value) => (value === "TLSRPTv1" ? "reports on TLS are wanted" : bad("must be TLSRPTv1")),
    rua: reportWords("daily reports on TLS failures"),
  };
  return explainTags(text, tags, ["v", "rua"]);
}

/** The file at https://mta-sts.DOMAIN/.well-known/mta-sts.txt (RFC 8461 §3.2). */
export function explainPolicyFile(text: string): Explained[] {
  const modes: Readonly<Record<string, Meaning>> = {
    enforce: "servers deliver over verified TLS or not at all",
    testing: warn("failures are only reported; mail is delivered anyway"),
    none: warn("no policy any more"),
  };
  const keys: Tags = {
    version: (value) => (value === "STSv1" ? "an MTA-STS policy" : bad("must be STSv1")),
    mode: oneOf(modes),
    mx: (value) =>
      value.startsWith("*.")
        ? `any server one label below ${value.slice(2)}`
        : `the server ${value}`,
    max_age: (value) => {
      if (!/^\d{1,10}$/.test(value) || Number(value) > 31_557_600)
        return bad("must be 0 to 31557600 seconds");
      const days = Math.round(Number(value) / 864) / 100;
      const words = `senders may keep the policy for ${days} days`;
      return days < 1 ? warn(`${words}: weeks are advised`) : words;
    },
  };
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  return lines.slice(0, 200).map((line) => {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0)).trim();
    const meaning = Object.hasOwn(keys, name)
      ? keys[name]?.(line.slice(colon + 1).trim())
      : undefined;
    if (meaning === undefined) return { part: line, words: "unknown: senders pass over it" };
    return { part: line, ...(typeof meaning === "string" ? { words: meaning } : meaning) };
  });
}
