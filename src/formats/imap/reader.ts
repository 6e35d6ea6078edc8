/** Cuts a client's octets into commands and literals, without joining or looking ahead (RFC 9051 §4.3). */

import { Buffer } from "node:buffer";

/** A command as received: line, literal, line … Text is latin1, without line ends and `{n}`. */
export interface RawCommand {
  readonly lines: readonly string[];
  /** `literals[i]` stands between `lines[i]` and `lines[i + 1]`. */
  readonly literals: readonly Buffer[];
}

export type ReaderFault =
  | "too-long"
  | "bare-lf"
  | "nul"
  | "literal-out-of-range"
  | "literal-not-synchronized";

export type ReaderEvent =
  | { readonly kind: "command"; readonly raw: RawCommand }
  /** A literal was announced; nothing more is read until `collect`, `stream`, `discard` or `refuse`. */
  | {
      readonly kind: "literal";
      readonly raw: RawCommand;
      readonly sizeBytes: number;
      /** The client waits for "+" (RFC 7888 §4 otherwise). */
      readonly synchronizing: boolean;
      /** literal8 (RFC 9051 §9): may hold NUL. */
      readonly binary: boolean;
    }
  /** A piece of a streamed literal; the command goes on behind the last one. */
  | { readonly kind: "octets"; readonly chunk: Buffer; readonly last: boolean }
  /** The command is lost; when fatal, where the next one begins cannot be told. */
  | {
      readonly kind: "fault";
      readonly fault: ReaderFault;
      readonly firstLine: string;
      readonly fatal: boolean;
    };

/** LITERAL-: a longer one must be asked for (RFC 7888 §5). */
export const maxUnaskedLiteral = 4096;
/** number64 is not used: a literal is counted in 32 bits. */
const maxLiteral = 0xffffffff;

const empty: Buffer = Buffer.alloc(0);

export class CommandReader {
  /** For the octets of one command, streamed literals apart. May be changed between commands. */
  limitBytes: number;
  #rest: Buffer = empty;
  /** Pieces of a line whose end has not come. */
  #partial: Buffer[] = [];
  #usedBytes = 0;
  #lines: string[] = [];
  #literals: Buffer[] = [];
  #mode: "line" | "asked" | "collect" | "stream" | "discard" | "broken" = "line";
  #literal: Buffer = empty;
  #wanted = 0;
  #filled = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** Octets that wait for `next`. */
  get bufferedBytes(): number {
    return this.#rest.length;
  }

  push(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
  }

  /** The next event, or undefined when more octets (or an answer to "literal") are needed. */
  next(): ReaderEvent | undefined {
    for (;;) {
      switch (this.#mode) {
        case "line":
          return this.#readLine();
        case "collect":
        case "discard":
          if (!this.#fill()) return undefined;
          break;
        case "stream":
          return this.#readOctets();
        case "asked":
        case "broken":
          return undefined;
      }
    }
  }

  /** Keeps the announced literal in memory; false when the command would grow too long. */
  collect(): boolean {
    if (this.#usedBytes + this.#wanted > this.limitBytes) return false;
    this.#usedBytes += this.#wanted;
    this.#literal = Buffer.allocUnsafe(this.#wanted);
    this.#enter("collect");
    return true;
  }

  /** Hands the literal out in pieces; it counts as empty in the command. */
  stream(): void {
    this.#literal = empty;
    this.#enter("stream");
  }

  /** Reads over the literal; it counts as empty in the command. */
  discard(): void {
    this.#literal = empty;
    this.#enter("discard");
  }

  /** Gives the command up. The client, told so, does not send the literal. */
  refuse(): void {
    this.#reset();
  }

  #enter(mode: "collect" | "stream" | "discard"): void {
    this.#mode = mode;
    this.#filled = 0;
  }

  #reset(): void {
    this.#mode = "line";
    this.#lines = [];
    this.#literals = [];
    this.#partial = [];
    this.#usedBytes = 0;
  }

  #readLine(): ReaderEvent | undefined {
    const end = this.#rest.indexOf(0x0a);
    const taken = end < 0 ? this.#rest.length : end + 1;
    if (taken === 0) return undefined;
    this.#usedBytes += taken;
    if (this.#usedBytes > this.limitBytes) return this.#fault("too-long", "", true);
    const piece = this.#rest.subarray(0, taken);
    this.#rest = taken === this.#rest.length ? empty : this.#rest.subarray(taken);
    if (end < 0) {
      this.#partial.push(piece);
      return undefined;
    }
    let octets = piece;
    if (this.#partial.length > 0) {
      octets = Buffer.concat([...this.#partial, piece]);
      this.#partial = [];
    }
    return this.#judge(octets);
  }

  /** @param octets one line with its end */
  #judge(octets: Buffer): ReaderEvent {
    const bare = octets[octets.length - 2] !== 0x0d;
    const line = octets.toString("latin1", 0, octets.length - (bare ? 1 : 2));
    const mark = literalMark(line);
    // What follows an announcement that we do not honour must never be taken for a command.
    const fatal = mark !== undefined && !mark.synchronizing;
    if (bare) return this.#fault("bare-lf", line, fatal);
    if (line.includes("\0")) return this.#fault("nul", line, fatal);
    if (mark === undefined) {
      this.#lines.push(line);
      const raw = { lines: this.#lines, literals: this.#literals };
      this.#reset();
      return { kind: "command", raw };
    }
    if (!(mark.sizeBytes <= maxLiteral)) return this.#fault("literal-out-of-range", line, fatal);
    if (!mark.synchronizing && mark.sizeBytes > maxUnaskedLiteral) {
      return this.#fault("literal-not-synchronized", line, true);
    }
    this.#lines.push(line.slice(0, mark.at));
    this.#wanted = mark.sizeBytes;
    this.#mode = "asked";
    const { sizeBytes, synchronizing, binary } = mark;
    const raw = { lines: this.#lines, literals: this.#literals };
    return { kind: "literal", raw, sizeBytes, synchronizing, binary };
  }

  #fault(fault: ReaderFault, line: string, fatal: boolean): ReaderEvent {
    const firstLine = this.#lines[0] ?? (line === "" ? this.#startOfLine() : line);
    this.#reset();
    if (fatal) {
      this.#mode = "broken";
      this.#rest = empty;
    }
    return { kind: "fault", fault, firstLine, fatal };
  }

  #startOfLine(): string {
    return (this.#partial[0] ?? this.#rest).toString("latin1", 0, 80);
  }

  /** True when the literal is complete. */
  #fill(): boolean {
    const count = Math.min(this.#wanted - this.#filled, this.#rest.length);
    if (this.#mode === "collect") this.#rest.copy(this.#literal, this.#filled, 0, count);
    this.#filled += count;
    this.#rest = this.#rest.subarray(count);
    if (this.#filled < this.#wanted) return false;
    this.#literals.push(this.#literal);
    this.#mode = "line";
    return true;
  }

  #readOctets(): ReaderEvent | undefined {
    const count = Math.min(this.#wanted - this.#filled, this.#rest.length);
    if (count === 0 && this.#filled < this.#wanted) return undefined;
    const chunk = this.#rest.subarray(0, count);
    this.#filled += count;
    this.#rest = this.#rest.subarray(count);
    const last = this.#filled === this.#wanted;
    if (last) {
      this.#literals.push(this.#literal);
      this.#mode = "line";
    }
    return { kind: "octets", chunk, last };
  }
}

interface LiteralMark {
  readonly at: number;
  readonly sizeBytes: number;
  readonly synchronizing: boolean;
  readonly binary: boolean;
}

/** The `{n}`, `{n+}` or `~{n}` that ends a line; more digits than a count can have give Infinity. */
function literalMark(line: string): LiteralMark | undefined {
  if (!line.endsWith("}")) return undefined;
  const open = line.lastIndexOf("{");
  if (open < 0) return undefined;
  const synchronizing = line.charCodeAt(line.length - 2) !== 0x2b;
  const digitsEnd = line.length - (synchronizing ? 1 : 2);
  if (digitsEnd === open + 1) return undefined;
  for (let at = open + 1; at < digitsEnd; at += 1) {
    const code = line.charCodeAt(at);
    if (code < 0x30 || code > 0x39) return undefined;
  }
  const sizeBytes =
    digitsEnd - open > 11 ? Number.POSITIVE_INFINITY : Number(line.slice(open + 1, digitsEnd));
  const binary = line.charCodeAt(open - 1) === 0x7e;
  return { at: binary ? open - 1 : open, sizeBytes, synchronizing, binary };
}
