/** What is said to a milter: packets of a length, a letter and texts that end in NUL. */

import { Buffer } from "node:buffer";
import { parseIp } from "#base/ip";
import { type Field, type Header, parseHeader } from "#formats/message";
import {
  chunkBytes,
  leadingSpace,
  offeredActions,
  offeredSteps,
  protocolVersion,
  type StepName,
  stepBits,
} from "./protocol.ts";
import type { MilterMail } from "./types.ts";

/** One event of a session, with the macros before it. */
export interface Step {
  readonly name: StepName;
  readonly octets: Uint8Array;
  readonly isAnswered: boolean;
}

export function negotiation(): Uint8Array {
  const numbers = Buffer.alloc(12);
  numbers.writeUInt32BE(protocolVersion, 0);
  numbers.writeUInt32BE(offeredActions, 4);
  numbers.writeUInt32BE(offeredSteps, 8);
  return packet("O", numbers);
}

export const quit: Uint8Array = packet("Q");

/** Does every field fit a packet? More than 64 KiB in one is refused by libmilter with a cut. */
export function fitsPackets(mail: MilterMail): boolean {
  const { fields, truncated } = parseHeader(mail.octets);
  return !truncated && fields.every(({ start, end }) => end - start < chunkBytes);
}

/** @param steps what the milter answered to our offer: the steps that it wants, and how */
export function* stepsOf(mail: MilterMail, steps: number): Generator<Step> {
  const header = parseHeader(mail.octets);
  const [fields, bodyAt] = fieldsAndBody(header);
  const { helo } = mail.connection;
  const all: [StepName, () => Iterable<Uint8Array>][] = [
    ["connect", () => [connection(mail)]],
    ["helo", () => [packet("H", text(helo))]],
    ["mail", () => [sender(mail)]],
    ["rcpt", () => recipients(mail)],
    ["data", () => [packet("T")]],
    ["header", () => headers(header, fields, (steps & leadingSpace) !== 0)],
    ["eoh", () => [packet("N")]],
    ["body", () => body(mail.octets, bodyAt)],
    ["end", () => [Buffer.concat([macros("E", { i: mail.id }), packet("E")])]],
  ];
  for (const [name, packets] of all) {
    const { leaveOut, noAnswer } = stepBits[name];
    if ((steps & leaveOut) !== 0) continue;
    const isAnswered = (steps & noAnswer) === 0;
    for (const octets of packets()) yield { name, octets, isAnswered };
  }
}

/** From the first line that is no field on, everything is shown as body: nothing stays unseen. */
function fieldsAndBody(header: Header): readonly [readonly Field[], number] {
  const odd = header.fields.findIndex(({ name }) => name === "");
  const first = header.fields[odd];
  return first === undefined
    ? [header.fields, header.end]
    : [header.fields.slice(0, odd), first.start];
}

function connection({ connection: at, receivedBy }: MilterMail): Uint8Array {
  const { clientAddress, clientPort, reverseName, listener } = at;
  const name = reverseName ?? `[${clientAddress}]`;
  const port = Buffer.alloc(2);
  port.writeUInt16BE(clientPort & 0xffff);
  const isIpv6 = parseIp(clientAddress)?.length === 16;
  const family = Buffer.from(isIpv6 ? "6" : "4");
  const known = {
    j: receivedBy,
    _: reverseName === undefined ? name : `${name} [${clientAddress}]`,
    "{daemon_name}": listener,
    "{client_addr}": clientAddress,
    "{client_name}": reverseName ?? "unknown",
    "{client_port}": String(clientPort),
  };
  return Buffer.concat([
    macros("C", known),
    packet("C", text(name), family, port, text(clientAddress)),
  ]);
}

function sender({ id, connection: { tls, authenticated }, envelope }: MilterMail): Uint8Array {
  const known = {
    i: id,
    "{mail_addr}": envelope.reversePath,
    ...(authenticated !== undefined && { "{auth_authen}": authenticated }),
    ...(tls && { "{tls_version}": tls.version, "{cipher}": tls.cipher }),
  };
  return Buffer.concat([macros("M", known), packet("M", text(`<${envelope.reversePath}>`))]);
}

function recipients({ envelope }: MilterMail): Uint8Array[] {
  return envelope.recipients.map(({ path }) =>
    Buffer.concat([macros("R", { "{rcpt_addr}": path }), packet("R", text(`<${path}>`))]),
  );
}

function* headers(
  { octets }: Header,
  fields: readonly Field[],
  keepsSpace: boolean,
): Generator<Uint8Array> {
  const bytes = Buffer.from(octets.buffer, octets.byteOffset, octets.length);
  for (const { name, valueStart, valueEnd } of fields) {
    const isSpaced = bytes[valueStart] === 0x20 && !keepsSpace;
    const raw = bytes.toString("latin1", valueStart + (isSpaced ? 1 : 0), valueEnd);
    // Folds are bare LF in this protocol.
    yield packet("L", latin1(name), latin1(raw.replaceAll("\r\n", "\n")));
  }
}

function* body(octets: Uint8Array, from: number): Generator<Uint8Array> {
  for (let at = from; at < octets.length; at += chunkBytes) {
    yield packet("B", octets.subarray(at, at + chunkBytes));
  }
}

/** Names and values that the following event is about. */
function macros(event: string, known: Readonly<Record<string, string>>): Uint8Array {
  const texts = Object.entries(known).flatMap(([name, value]) => [text(name), text(value)]);
  return packet("D", Buffer.from(event), ...texts);
}

function packet(letter: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const sizeBytes = parts.reduce((sum, part) => sum + part.length, 1);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(sizeBytes);
  head.write(letter, 4, "latin1");
  return Buffer.concat([head, ...parts]);
}

/** Cut at our bound for one text; NUL would end it early. */
function text(value: string): Uint8Array {
  return ended(Buffer.from(value.slice(0, 2000).replaceAll("\0", " "), "utf8"));
}

function latin1(value: string): Uint8Array {
  return ended(Buffer.from(value.replaceAll("\0", " "), "latin1"));
}

function ended(octets: Uint8Array): Uint8Array {
  return Buffer.concat([octets, Buffer.of(0)]);
}
