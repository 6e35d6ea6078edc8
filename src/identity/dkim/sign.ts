/** DKIM-Signature fields (RFC 6376 §3.5, §5; RFC 8301; RFC 8463). */

import { Buffer } from "node:buffer";
import { fields, type Header, rawField } from "#formats/message";
import { formatTagList } from "#formats/tag-list";
import { relaxedField } from "./header.ts";

export type DkimAlgorithm = "rsa-sha256" | "ed25519-sha256";

export interface DkimOrder {
  /** As the receiver will see it, without what is put above it later. */
  readonly header: Header;
  /** From `hashBody`; several signatures of one message share it. */
  readonly bodyHash: string;
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: DkimAlgorithm;
  readonly signedAtMs: number;
  readonly expiresAtMs: number;
  /** Signs the SHA-256 of the octets with the key of that domain and selector. */
  readonly sign: (octets: Buffer) => Promise<Uint8Array>;
}

/** Signed once more than they occur, so that nobody can add another (§8.15). */
export const oversigned: readonly string[] = [
  "From",
  "Reply-To",
  "Subject",
  "Date",
  "To",
  "Cc",
  "Message-ID",
  "In-Reply-To",
  "References",
  "MIME-Version",
  "Content-Type",
  "Content-Transfer-Encoding",
];

/** Signed where they occur; mailing lists may add their own. */
export const signedIfPresent: readonly string[] = [
  "Sender",
  "Resent-From",
  "Resent-Date",
  "Resent-To",
  "Resent-Cc",
];

/** The whole field with its line break, to be put above the header. The body is covered wholly: no l=. */
export async function dkimSignature(order: DkimOrder): Promise<string> {
  const { names, text } = signedFields(order.header, [...oversigned, ...signedIfPresent]);
  const tags = [
    ["v", "1"],
    ["a", order.algorithm],
    ["c", "relaxed/relaxed"],
    ["d", order.domain],
    ["s", order.selector],
    ["t", seconds(order.signedAtMs)],
    ["x", seconds(order.expiresAtMs)],
    ["h", names.join(": ")],
    ["bh", order.bodyHash],
  ] as const;
  return signField("DKIM-Signature", tags, text, order);
}

/** Seconds since 1970, as t= and x= have them. */
export function seconds(atMs: number): string {
  return String(Math.floor(atMs / 1000));
}

/**
 * A field with a signature over itself and what stands before it, with its line break.
 *
 * @param tags all but b=
 * @param before canonical fields, each with its line break, one character an octet
 */
export async function signField(
  name: string,
  tags: readonly (readonly [string, string])[],
  before: string,
  { sign }: Pick<DkimOrder, "sign">,
): Promise<string> {
  const unsigned = formatTagList([...tags, ["b", ""]], name.length + 2);
  const octets = Buffer.from(before + relaxedField(`${name}: ${unsigned}`), "latin1");
  const signature = Buffer.from(await sign(octets)).toString("base64");
  // §3.7: the value of b= and the space around it are all that was not signed.
  const pieces = signature.match(/.{1,64}/g) ?? [];
  return `${name}: ${unsigned}\r\n\t${pieces.join("\r\n\t")}\r\n`;
}

/** Names for h= and the fields' relaxed form, in the same order. */
export function signedFields(
  header: Header,
  wanted: readonly string[],
): { readonly names: readonly string[]; readonly text: string } {
  const names: string[] = [];
  let text = "";
  for (const name of wanted) {
    // §5.4.2: of several fields, the lowest is signed first.
    const present = fields(header, name).toReversed();
    for (const one of present) {
      names.push(name);
      text += `${relaxedField(rawField(header, one).toString("latin1"))}\r\n`;
    }
    if (oversigned.includes(name)) names.push(name);
  }
  return { names, text };
}
