/** Signature fields of DKIM and ARC, read but not yet believed (RFC 6376 §3.5, §6.1.1). */

import { Buffer } from "node:buffer";
import { buffer } from "#base/bytes";
import type { Field, Header } from "#formats/message";
import { parseTagList, type TagList, type TagListFault } from "#formats/tag-list";
import type { Form } from "./body.ts";
import type { DkimAlgorithm } from "./sign.ts";

/** Tags that DKIM and all of ARC share. */
export interface Signature {
  readonly field: Field;
  readonly tags: TagList;
  readonly algorithm: DkimAlgorithm;
  /** d=, in lower case. */
  readonly domain: string;
  /** s= */
  readonly selector: string;
  /** b= */
  readonly value: Buffer;
  /** t= and x=, in seconds since 1970. */
  readonly signedAtSeconds?: number;
  readonly expiresAtSeconds?: number;
}

/** A signature over fields and the body. */
export interface MessageSignature extends Signature {
  readonly headerForm: Form;
  readonly bodyForm: Form;
  /** bh=, base64. */
  readonly bodyHash: string;
  /** h= in lower case. */
  readonly names: readonly string[];
  /** l=: octets of the canonical body that are signed; absent: all. */
  readonly bodyOctets?: number;
}

const faults: Readonly<Record<TagListFault, string>> = {
  "too-long": "the signature is too long",
  "bad-character": "the signature holds other than ASCII",
  "bad-name": "the signature is no list of tags",
  "repeated-tag": "the signature has a tag twice",
};

/** The tags of a field, or in words why there are none. */
export function readTags(header: Header, field: Field): TagList | string {
  if (field.valueEnd - field.valueStart > 16_384) return faults["too-long"];
  // What is not ASCII is refused, so the charset does not matter.
  const read = parseTagList(
    buffer(header.octets).toString("latin1", field.valueStart, field.valueEnd),
  );
  return read.ok ? read.value : faults[read.fault];
}

const domainName = /^[\w-]{1,63}(?:\.[\w-]{1,63})*$/;

export function isDomain(text: string): boolean {
  return text.length <= 253 && domainName.test(text);
}

const base64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** Base64 without the white space that may stand in it; undefined when it is not that. */
export function readBase64(text: string): Buffer | undefined {
  const bare = text.replace(/[ \t\r\n]+/g, "");
  return base64.test(bare) ? Buffer.from(bare, "base64") : undefined;
}

/** The signature, or in words why it cannot be one. */
export function readSignature(field: Field, tags: TagList): Signature | string {
  for (const name of ["a", "b", "d", "s"]) if (!tags.has(name)) return `${name}= is missing`;
  const algorithm = tags.get("a");
  // RFC 8301 §3.1: SHA-1 is never to be believed.
  if (algorithm === "rsa-sha1") return "a=rsa-sha1 is not to be believed any more";
  if (algorithm !== "rsa-sha256" && algorithm !== "ed25519-sha256") return "a= is not known";
  const domain = (tags.get("d") ?? "").toLowerCase();
  if (!isDomain(domain)) return "d= is no domain";
  const selector = tags.get("s") ?? "";
  if (!isDomain(selector)) return "s= is no selector";
  const value = readBase64(tags.get("b") ?? "");
  if (value === undefined) return "b= is not base64";
  const signedAt = readSeconds(tags.get("t"));
  const expiresAt = readSeconds(tags.get("x"));
  if (signedAt === "bad" || expiresAt === "bad") return "t= or x= is no time";
  return {
    field,
    tags,
    algorithm,
    domain,
    selector,
    value,
    ...(signedAt !== undefined && { signedAtSeconds: signedAt }),
    ...(expiresAt !== undefined && { expiresAtSeconds: expiresAt }),
  };
}

/** x= is past (RFC 6376 §3.5). */
export function isExpired({ expiresAtSeconds }: Signature, nowMs: number): boolean {
  return expiresAtSeconds !== undefined && expiresAtSeconds * 1000 < nowMs;
}

function readSeconds(text: string | undefined): number | undefined | "bad" {
  if (text === undefined) return undefined;
  return /^\d{1,12}$/.test(text) ? Number(text) : "bad";
}

/** c= as it may stand; the second part is "simple" when it is missing. */
const forms: Readonly<Record<string, readonly [Form, Form]>> = {
  simple: ["simple", "simple"],
  relaxed: ["relaxed", "simple"],
  "simple/simple": ["simple", "simple"],
  "simple/relaxed": ["simple", "relaxed"],
  "relaxed/simple": ["relaxed", "simple"],
  "relaxed/relaxed": ["relaxed", "relaxed"],
};

/** The signature, or in words why it cannot be one. */
export function readMessageSignature(field: Field, tags: TagList): MessageSignature | string {
  for (const name of ["bh", "h"]) if (!tags.has(name)) return `${name}= is missing`;
  const signature = readSignature(field, tags);
  if (typeof signature === "string") return signature;
  const canonicalisation = tags.get("c") ?? "simple";
  if (!Object.hasOwn(forms, canonicalisation)) return "c= is not known";
  const [headerForm, bodyForm] = forms[canonicalisation] ?? [];
  if (headerForm === undefined || bodyForm === undefined) return "c= is not known";
  const digest = readBase64(tags.get("bh") ?? "");
  if (digest?.length !== 32) return "bh= is no SHA-256 digest";
  const names = readNames(tags.get("h") ?? "");
  if (names === undefined) return "h= is no list of field names";
  const length = tags.get("l");
  if (length !== undefined && !/^\d{1,76}$/.test(length)) return "l= is no number";
  return {
    ...signature,
    headerForm,
    bodyForm,
    bodyHash: digest.toString("base64"),
    names,
    ...(length !== undefined && { bodyOctets: Number(length) }),
  };
}

const fieldNames = /^[!-9;-~]+(?::[!-9;-~]+)*$/;
/** White space may only stand beside the colons and at the ends. */
const gapInName = /[!-9;-~][ \t\r\n]+[!-9;-~]/;

function readNames(text: string): readonly string[] | undefined {
  if (text === "") return [];
  if (gapInName.test(text)) return undefined;
  const bare = text.toLowerCase().replace(/[ \t\r\n]+/g, "");
  return fieldNames.test(bare) ? bare.split(":") : undefined;
}
