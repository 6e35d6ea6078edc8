/** What a milter says, read with distrust. */

import { Buffer, isUtf8 } from "node:buffer";
import { accept, type Result, refuse } from "#base/result";
import { offeredSteps, oldestVersion, protocolVersion } from "./protocol.ts";
import type { MilterFault, MilterField } from "./types.ts";

export type AnswerFault = Extract<MilterFault, "answer-too-long" | "bad-answer" | "no-agreement">;

/** Our limits: of one packet, and of all of them together. */
const maxPacketBytes = 131_072;
export const maxAnswerBytes = 1_048_576;

export interface Packet {
  readonly letter: string;
  readonly data: Buffer;
}

/** Cuts what arrives into packets; linear, however small the pieces. */
export class PacketReader {
  #held: Buffer[] = [];
  #heldBytes = 0;
  #heardBytes = 0;

  /** Packets that are whole now. A fault is the end: nothing after it can be read. */
  push(chunk: Buffer): Result<readonly Packet[], AnswerFault> {
    this.#heardBytes += chunk.length;
    if (this.#heardBytes > maxAnswerBytes) return refuse("answer-too-long", maxAnswerBytes);
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    const packets: Packet[] = [];
    for (;;) {
      const sizeBytes = this.#sizeBytes();
      if (sizeBytes === undefined) return accept(packets);
      if (sizeBytes < 1) return refuse("bad-answer");
      if (sizeBytes > maxPacketBytes) return refuse("answer-too-long");
      if (this.#heldBytes < 4 + sizeBytes) return accept(packets);
      const octets = this.#take(4 + sizeBytes);
      packets.push({ letter: octets.toString("latin1", 4, 5), data: octets.subarray(5) });
    }
  }

  #sizeBytes(): number | undefined {
    if (this.#heldBytes < 4) return undefined;
    if ((this.#held[0]?.length ?? 0) < 4) this.#join();
    return this.#held[0]?.readUInt32BE();
  }

  #take(sizeBytes: number): Buffer {
    this.#join();
    const whole = this.#held[0] ?? Buffer.alloc(0);
    this.#held = whole.length > sizeBytes ? [whole.subarray(sizeBytes)] : [];
    this.#heldBytes -= sizeBytes;
    return whole.subarray(0, sizeBytes);
  }

  #join(): void {
    if (this.#held.length > 1) this.#held = [Buffer.concat(this.#held)];
  }
}

/** What it wants of what we offered: the steps, as bits. */
export function parseAgreement({ letter, data }: Packet): Result<number, AnswerFault> {
  if (letter !== "O" || data.length < 12) return refuse("bad-answer");
  const version = data.readUInt32BE(0);
  const steps = data.readUInt32BE(8);
  // Some claim all actions whatever is offered; they are held to it when they act.
  const isBeyond = (steps & ~offeredSteps) !== 0;
  if (isBeyond || version < oldestVersion || version > protocolVersion) {
    return refuse("no-agreement");
  }
  return accept(steps);
}

export type Reply =
  | { readonly kind: "continue" | "accept" | "skip" | "progress" }
  | { readonly kind: "reject" | "defer" | "discard" | "quarantine"; readonly why: string }
  | { readonly kind: "field"; readonly field: MilterField }
  | { readonly kind: "refused-change"; readonly what: string };

export function parseReply({ letter, data }: Packet): Result<Reply, AnswerFault> {
  switch (letter) {
    case "c":
      return accept({ kind: "continue" });
    case "a":
      return accept({ kind: "accept" });
    case "s":
      return accept({ kind: "skip" });
    case "p":
      return accept({ kind: "progress" });
    case "r":
      return accept({ kind: "reject", why: "" });
    case "t":
    case "f":
      return accept({ kind: "defer", why: "" });
    case "d":
      return accept({ kind: "discard", why: "" });
    case "q":
      return accept({ kind: "quarantine", why: shown(data) });
    case "y":
      return parseReplyCode(data);
    case "h":
      return parseField(data, "add");
    case "i":
      return data.length < 4 ? refuse("bad-answer") : parseField(data.subarray(4), "add");
    case "m":
      return data.length < 4 ? refuse("bad-answer") : parseField(data.subarray(4), "change");
    default:
      // What was not offered is not done: a body half replaced would be worse than none.
      return refuse("bad-answer");
  }
}

const replyCode = /^([45])[0-9]{2}[ -]/;

function parseReplyCode(data: Buffer): Result<Reply, AnswerFault> {
  const text = shown(data);
  const kind = replyCode.exec(text)?.[1] === "4" ? "defer" : "reject";
  if (!replyCode.test(text)) return refuse("bad-answer");
  return accept({ kind, why: text.replaceAll("%%", "%") });
}

/** For the trace and nobody else. */
function shown(data: Buffer): string {
  const end = data.indexOf(0);
  const text = data.toString("utf8", 0, Math.min(end < 0 ? data.length : end, 500));
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ").trim();
}

/** RFC 5322 §3.6.8; ours is the length. */
const fieldName = /^[!-9;-~]{1,76}$/;
const valueText = /^[^\0\r\p{Cs}]*$/u;
/** RFC 5322 §2.1.1 */
const maxLineBytes = 998;

/**
 * Fields of which a message has one, and those that say how its body is read: a second one on top
 * would show the reader something else than what was checked and signed.
 */
const notAdded: ReadonlySet<string> = new Set(
  [
    "return-path received from sender reply-to to cc bcc subject date message-id in-reply-to",
    "references mime-version dkim-signature",
  ]
    .join(" ")
    .split(" "),
);

function isNotAdded(name: string): boolean {
  const key = name.toLowerCase();
  return notAdded.has(key) || /^(?:content|resent|arc)-/.test(key);
}

/** A changed field comes as one more on top: the sender's stays below it. */
function parseField(data: Buffer, how: "add" | "change"): Result<Reply, AnswerFault> {
  const nameEnd = data.indexOf(0);
  const valueEnd = data.indexOf(0, nameEnd + 1);
  if (nameEnd < 0 || valueEnd < 0) return refuse("bad-answer");
  const name = data.toString("latin1", 0, nameEnd);
  const octets = data.subarray(nameEnd + 1, valueEnd);
  if (!fieldName.test(name) || !isUtf8(octets)) return refuse("bad-answer");
  const text = octets.toString("utf8").replaceAll("\r\n", "\n").replace(/\n+$/, "");
  if (text === "" && how === "change") return refusedChange(`removal of ${name}`);
  if (isNotAdded(name)) return refusedChange(`${how === "add" ? "one more" : "another"} ${name}`);
  const lines = text.split("\n");
  const isFolded = lines.every((line, index) => index === 0 || /^[ \t]+\S/.test(line));
  const isShort = lines.every((line) => Buffer.byteLength(line) + name.length + 2 <= maxLineBytes);
  if (!isFolded || !isShort || !valueText.test(text)) return refuse("bad-answer");
  const value = lines.join("\r\n");
  const isSpaced = value.startsWith(" ") || value.startsWith("\t");
  return accept({ kind: "field", field: { name, value: isSpaced ? value : ` ${value}` } });
}

function refusedChange(what: string): Result<Reply, AnswerFault> {
  return accept({ kind: "refused-change", what });
}
