/** For tests: a signer that signs what it is told, however wrong; slow, plain, and apart from our own code. */

import { Buffer } from "node:buffer";
import { generateKeyPairSync, hash, type KeyObject, sign } from "node:crypto";
import { parseHeader } from "#formats/message";
import type { DkimVerdict } from "#model/verdict";
import { type Zone, zoneResolver } from "../../../tests/kit/fake-dns.ts";
import { bodyDigests, checkDkim } from "./index.ts";

export interface TestKey {
  readonly selector: string;
  readonly algorithm: "rsa-sha256" | "ed25519-sha256";
  readonly privateKey: KeyObject;
  /** Value of p=. */
  readonly published: string;
}

export function rsaKey(
  selector: string,
  modulusLength = 2048,
  type: "spki" | "pkcs1" = "spki",
): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength });
  const published = publicKey.export({ type, format: "der" }).toString("base64");
  return { selector, algorithm: "rsa-sha256", privateKey, published };
}

export function ed25519Key(selector: string): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const published = publicKey
    .export({ type: "spki", format: "der" })
    .subarray(12)
    .toString("base64");
  return { selector, algorithm: "ed25519-sha256", privateKey, published };
}

/** What the keyring does (#contracts/keyring). */
export function signOctets(key: TestKey, octets: Buffer): Buffer {
  return key.algorithm === "rsa-sha256"
    ? sign("sha256", octets, key.privateKey)
    : sign(null, hash("sha256", octets, "buffer"), key.privateKey);
}

export const testDomain = "example.org";

/** Records of keys below a domain. */
export function zoneOf(keys: readonly TestKey[], domain: string = testDomain): Zone {
  return Object.fromEntries(
    keys.map((key) => {
      const type = key.algorithm.startsWith("rsa") ? "rsa" : "ed25519";
      const text = `v=DKIM1; k=${type}; p=${key.published}`;
      return [`${key.selector}._domainkey.${domain}`, [{ TXT: text }]];
    }),
  );
}

/** §3.4.1 and §3.4.2, one rule behind the other. */
export function plainField(field: string, form: string): string {
  if (form === "simple") return field;
  const colon = field.indexOf(":");
  const value = field
    .slice(colon + 1)
    .replace(/\r\n/g, "")
    .replace(/[ \t]+/g, " ");
  return `${field.slice(0, colon).trim().toLowerCase()}:${value.trim()}`;
}

/** §3.4.3 and §3.4.4, one rule behind the other. */
export function plainBody(body: string, form: string): string {
  const lines = body.split("\r\n");
  const even = (line: string): string => line.replace(/[ \t]+/g, " ").replace(/ $/, "");
  const canonical = form === "relaxed" ? lines.map(even) : lines;
  while (canonical.at(-1) === "") canonical.pop();
  const text = canonical.map((line) => `${line}\r\n`).join("");
  return text === "" && form === "simple" ? "\r\n" : text;
}

/** Fields of a header with their folds, without their last line break. */
function plainFields(head: string): readonly string[] {
  return head === "" ? [] : head.split(/\r\n(?![ \t])/);
}

export interface Craft {
  /** Tags that replace the usual ones; undefined leaves one out. */
  readonly tags?: Readonly<Record<string, string | undefined>>;
  readonly key: TestKey;
  /** The field, before it is signed and after: for odd spellings. */
  readonly respell?: (field: string) => string;
}

/** The message with a signature on top, whose b= is right for whatever the tags say. */
export function craft(
  message: string,
  { tags = {}, key, respell = (field) => field }: Craft,
): string {
  const end = message.startsWith("\r\n") ? 0 : message.indexOf("\r\n\r\n");
  const head = message.slice(0, end);
  const body = message.slice(end === 0 ? 2 : end + 4);
  const c = tags["c"] ?? "relaxed/relaxed";
  const [headerForm = "simple", bodyForm = "simple"] = c.split("/");
  const signedBody = plainBody(body, bodyForm).slice(
    0,
    Number(tags["l"] ?? Number.POSITIVE_INFINITY),
  );
  const all: Record<string, string | undefined> = {
    v: "1",
    a: key.algorithm,
    c,
    d: testDomain,
    s: key.selector,
    h: "From:To:Subject:Date",
    bh: hash("sha256", Buffer.from(signedBody, "latin1"), "base64"),
    ...tags,
  };
  const list = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  );
  const field = respell(`DKIM-Signature: ${list.join("; ")}; b=`);
  const rest = plainFields(head).toReversed();
  const signed = (all["h"] ?? "").split(":").flatMap((name) => {
    const at = rest.findIndex((one) => isNamed(one, name.trim()));
    return at < 0 ? [] : [`${plainField(rest.splice(at, 1)[0] ?? "", headerForm)}\r\n`];
  });
  const octets = Buffer.from(signed.join("") + plainField(field, headerForm), "latin1");
  const signature = signOctets(key, octets).toString("base64");
  return `${field}${signature.replace(/.{60}/g, "$&\r\n ")}\r\n${message}`;
}

function isNamed(field: string, name: string): boolean {
  return field.slice(0, field.indexOf(":")).trim().toLowerCase() === name.toLowerCase();
}

/** As the edge does it; the body comes in chunks of that size. */
export function verify(
  message: string | Buffer,
  zone: Zone,
  options: { readonly nowMs?: number; readonly chunkOctets?: number } = {},
): Promise<readonly DkimVerdict[]> {
  const { nowMs = Date.now(), chunkOctets = 65_536 } = options;
  const octets = typeof message === "string" ? Buffer.from(message, "latin1") : message;
  const header = parseHeader(octets);
  const digests = bodyDigests(header);
  for (let at = header.end; at < octets.length; at += chunkOctets) {
    digests.write(octets.subarray(at, at + chunkOctets));
  }
  digests.finish();
  return checkDkim({ header, digests }, { resolver: zoneResolver(zone), nowMs });
}
