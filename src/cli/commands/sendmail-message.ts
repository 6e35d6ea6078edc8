/** What a program wrote on its standard output, made into a message that can be sent. */

import { Buffer } from "node:buffer";
import { parseAddressList } from "#formats/address";
import { encodeWords } from "#formats/encoded-word";
import { type Field, fields, type Header, parseHeader, rawField, valueOf } from "#formats/message";

export interface LocalSender {
  /** user@host: in From where the program wrote none. */
  readonly address: string;
  /** Behind "@" of names without a domain. */
  readonly hostname: string;
  readonly fullName?: string;
}

export interface LocalMessage {
  readonly octets: Buffer;
  /** Of To, Cc and Bcc, or of their Resent- forms where there are any (RFC 5322 §3.6.6). */
  readonly recipients: readonly string[];
}

/** Known to those who were told, or written by whoever delivers. */
const removed: ReadonlySet<string> = new Set([
  "bcc",
  "resent-bcc",
  "return-path",
  "content-length",
]);

/** @param ignoresDots false: a line with a single dot is the end */
export function prepareMessage(
  written: Buffer,
  sender: LocalSender,
  ignoresDots: boolean,
): LocalMessage {
  const text = withCrlf(written.toString("latin1"), ignoresDots);
  const octets = Buffer.from(text, "latin1");
  const header = headerOf(octets);
  const kept = header.fields.filter(({ key }) => !removed.has(key));
  const lines = kept.map((one) => lineOf(header, one, sender));
  const head = Buffer.concat([fromLine(header, sender), ...lines, Buffer.from("\r\n")]);
  return {
    octets: Buffer.concat([head, octets.subarray(header.end)]),
    recipients: recipientsIn(header).map((one) => qualified(one, sender.hostname)),
  };
}

/** "ana" is somebody of this machine. */
export function qualified(address: string, hostname: string): string {
  const bare = address.replace(/^<(.*)>$/, "$1");
  return bare === "" || bare.includes("@") ? bare : `${bare}@${hostname}`;
}

/** Every kind of line end is one; a "From " line of a mailbox file is none of the message's. */
function withCrlf(text: string, ignoresDots: boolean): string {
  let lines = text.split(/\r\n|\r|\n/);
  if (/^>?From /.test(lines[0] ?? "")) lines = lines.slice(1);
  if (lines.at(-1) === "") lines.pop();
  const end = ignoresDots ? -1 : lines.indexOf(".");
  const whole = end < 0 ? lines : lines.slice(0, end);
  return whole.map((line) => `${line}\r\n`).join("");
}

/** Up to the first line that is no field: a program may write nothing but text. */
function headerOf(octets: Buffer): Header {
  const header = parseHeader(octets);
  const odd = header.fields.findIndex(({ name }) => !/^[!-9;-~]+$/.test(name));
  const first = header.fields[odd];
  return first === undefined
    ? header
    : { ...header, fields: header.fields.slice(0, odd), end: first.start };
}

/** The field as it was written, but for a From that names nobody outside of this machine. */
function lineOf(header: Header, one: Field, sender: LocalSender): Buffer {
  if (one.key !== "from") return rawField(header, one);
  const [author, ...more] = parseAddressList(valueOf(header, one));
  if (author === undefined || more.length > 0 || author.email.includes("@")) {
    return rawField(header, one);
  }
  return fromField(author.name ?? sender.fullName, qualified(author.email, sender.hostname));
}

function fromLine(header: Header, { address, fullName }: LocalSender): Buffer {
  return fields(header, "from").length > 0 ? Buffer.alloc(0) : fromField(fullName, address);
}

function fromField(name: string | undefined, address: string): Buffer {
  if (name === undefined || name.trim() === "") return Buffer.from(`From: <${address}>\r\n`);
  const isPlain = /^[\x20-\x7e]*$/.test(name);
  const shown = isPlain ? `"${name.replace(/["\\]/g, "\\$&")}"` : encodeWords(name);
  return Buffer.from(`From: ${shown} <${address}>\r\n`);
}

function recipientsIn(header: Header): string[] {
  const named = (names: readonly string[]): string[] =>
    names
      .flatMap((name) => fields(header, name))
      .flatMap((one) => parseAddressList(valueOf(header, one)))
      .map(({ email }) => email);
  const resent = named(["resent-to", "resent-cc", "resent-bcc"]);
  return resent.length > 0 ? resent : named(["to", "cc", "bcc"]);
}
