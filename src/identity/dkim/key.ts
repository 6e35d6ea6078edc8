/** Public keys in the DNS (RFC 6376 §3.6, §6.1.2; RFC 8301 §3.2; RFC 8463 §4). */

import { Buffer } from "node:buffer";
import { createPublicKey, type KeyObject } from "node:crypto";
import type { DnsAnswer, Resolver } from "#base/dns";
import { parseTagList, type TagList } from "#formats/tag-list";
import { readBase64, type Signature } from "./signature.ts";

export interface DkimKey {
  readonly type: "rsa" | "ed25519";
  readonly key: KeyObject;
  /** Of the modulus; 256 for Ed25519. */
  readonly bits: number;
  /** t=y */
  readonly testing: boolean;
  /** t=s: i= has exactly the domain of d=. */
  readonly strict: boolean;
}

/** No key, and why. */
export interface NoKey {
  readonly result: "temperror" | "permerror" | "policy";
  readonly why: string;
}

/** The resolver's cache holds the answers, so keys live as long as those. */
const read = new WeakMap<DnsAnswer<"TXT">, DkimKey | NoKey>();

export async function findKey(signature: Signature, resolver: Resolver): Promise<DkimKey | NoKey> {
  const name = `${signature.selector}._domainkey.${signature.domain}`;
  const answer = resolver.cached(name, "TXT") ?? (await resolver.query(name, "TXT"));
  let found = read.get(answer);
  if (found === undefined) {
    found = readAnswer(answer);
    read.set(answer, found);
  }
  if ("why" in found) return { ...found, why: `${found.why} (${name})` };
  // §6.1.2 step 8
  if (!signature.algorithm.startsWith(`${found.type}-`)) {
    return { result: "permerror", why: `the key is for ${found.type} (${name})` };
  }
  return found;
}

const refused = (why: string): NoKey => ({ result: "permerror", why });

function readAnswer(answer: DnsAnswer<"TXT">): DkimKey | NoKey {
  if (answer.kind === "failed") return { result: "temperror", why: `no answer: ${answer.why}` };
  if (answer.kind === "none") return refused("there is no key");
  // §3.6.1: what begins with another version is no key at all.
  const keys = answer.records.filter(({ text }) => !isOther(text));
  if (keys.length === 0) return refused("there is no key");
  // §3.6.2.2: what several records mean is not defined.
  const [only, second] = keys;
  if (only === undefined || second !== undefined) return refused("there are several keys");
  const tags = parseTagList(only.text);
  if (!tags.ok) return refused(`the key record cannot be read: ${tags.fault}`);
  return readRecord(tags.value);
}

const version = /^[ \t\r\n]*v[ \t\r\n]*=([^;]*)/;

function isOther(text: string): boolean {
  const found = version.exec(text.slice(0, 1000))?.[1];
  return found !== undefined && found.trim() !== "DKIM1";
}

/** Values between colons. */
function list(text: string): readonly string[] {
  return text.split(":").map((one) => one.trim());
}

function readRecord(tags: TagList): DkimKey | NoKey {
  // §3.6.1: v= must be the first tag when it is there at all.
  if (tags.has("v") && [...tags.keys()][0] !== "v") return refused("v= is not the first tag");
  if (tags.has("h") && !list(tags.get("h") ?? "").includes("sha256")) {
    return refused("the key is not for SHA-256");
  }
  const services = list(tags.get("s") ?? "*");
  if (!services.includes("*") && !services.includes("email"))
    return refused("the key is not for mail");
  const type = tags.get("k") ?? "rsa";
  if (type !== "rsa" && type !== "ed25519") return refused("k= is not known");
  const text = tags.get("p");
  if (text === undefined) return refused("p= is missing");
  if (text === "") return refused("the key is revoked");
  const octets = readBase64(text);
  if (octets === undefined) return refused("p= is not base64");
  const made = type === "rsa" ? makeRsa(octets) : makeEd25519(octets);
  if ("why" in made) return made;
  const flags = list(tags.get("t") ?? "");
  return { type, ...made, testing: flags.includes("y"), strict: flags.includes("s") };
}

type Made = Pick<DkimKey, "key" | "bits"> | NoKey;

/** 1.2.840.113549.1.1.1, rsaEncryption, as SubjectPublicKeyInfo begins with it (RFC 8017 §A.1). */
const rsaIdentifier = Buffer.from("06092a864886f70d010101", "hex");

/** Ours: beyond these, a check costs the time of many. RFC 8301 §3.2 demands up to 4096. */
const maxBits = 8192;
const maxExponent = 0xffff_ffffn;

/** §3.6.1 says RSAPublicKey and shows SubjectPublicKeyInfo (erratum 3017): both are in use. */
function makeRsa(octets: Buffer): Made {
  const at = octets.indexOf(rsaIdentifier);
  const type = at >= 0 && at < 16 ? "spki" : "pkcs1";
  const key = makeKey(octets, type);
  const { modulusLength: bits, publicExponent } = key?.asymmetricKeyDetails ?? {};
  if (key?.asymmetricKeyType !== "rsa" || bits === undefined || publicExponent === undefined) {
    return refused("p= is no RSA key");
  }
  if (bits > maxBits || publicExponent > maxExponent) {
    return {
      result: "policy",
      why: `an RSA key of ${bits} bits, exponent ${publicExponent.toString(2).length} bits, is too costly`,
    };
  }
  return { key, bits };
}

/** RFC 8463 §4: the bare key; before it goes what makes it a SubjectPublicKeyInfo (RFC 8410 §4). */
const ed25519Prefix = Buffer.from("302a300506032b6570032100", "hex");

function makeEd25519(octets: Buffer): Made {
  const key = octets.length === 32 && makeKey(Buffer.concat([ed25519Prefix, octets]), "spki");
  return key ? { key, bits: 256 } : refused("p= is no Ed25519 key");
}

function makeKey(octets: Buffer, type: "spki" | "pkcs1"): KeyObject | undefined {
  try {
    return createPublicKey({ key: octets, format: "der", type });
  } catch {
    return undefined; // OpenSSL's way to say that the octets are no key
  }
}
