/** A body in chunks, read strictly (RFC 9112 §7.1). */

import { Buffer } from "node:buffer";
import { readFields } from "./fields.ts";
import { octetKinds, valueOctet } from "./octets.ts";

/** 2^48 octets: a size with more digits means something else. */
const sizeMaxDigits = 12;
/** Our limits: extensions mean nothing to us, and trailers are read and dropped. */
const extensionMaxBytes = 256;
const trailerMaxBytes = 8192;
const trailerMaxCount = 64;

type State = "size" | "extension" | "size-lf" | "data" | "data-cr" | "data-lf" | "trailer" | "over";

/** Cuts the data out of chunks as octets come; holds none of them but those of the trailer. */
export class ChunkedReader {
  #state: State = "size";
  /** Octets of the chunk: announced so far, then still to come. */
  #left = 0;
  #digits = 0;
  #extensionBytes = 0;
  #trailer: Buffer | undefined;
  #trailerBytes = 0;

  /**
   * @param take called with each part of the data, which is valid as long as `chunk` is
   * @returns "fault" for good once the framing is broken; octets behind the body as `rest`
   */
  push(chunk: Buffer, take: (part: Buffer) => void): "more" | "fault" | { readonly rest: Buffer } {
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === "data") {
        const to = Math.min(chunk.length, at + this.#left);
        this.#left -= to - at;
        if (this.#left === 0) this.#state = "data-cr";
        take(at === 0 && to === chunk.length ? chunk : chunk.subarray(at, to));
        at = to;
        continue;
      }
      const octet = chunk[at] as number;
      at += 1;
      if (this.#state === "trailer") {
        const outcome = this.#trailed(octet);
        if (outcome === "more") continue;
        this.#state = "over";
        return outcome === "fault" ? "fault" : { rest: chunk.subarray(at) };
      }
      const next = this.#after(octet);
      this.#state = next;
      if (next === "over") return "fault";
    }
    return this.#state === "over" ? "fault" : "more";
  }

  /** What an octet outside data and trailer leads to; "over" is a fault. */
  #after(octet: number): State {
    switch (this.#state) {
      case "size":
        return this.#sized(octet);
      case "extension":
        if (octet === 0x0d) return "size-lf";
        this.#extensionBytes += 1;
        if (this.#extensionBytes > extensionMaxBytes) return "over";
        return ((octetKinds[octet] as number) & valueOctet) === 0 ? "over" : "extension";
      case "size-lf":
        if (octet !== 0x0a) return "over";
        this.#digits = 0;
        this.#extensionBytes = 0;
        return this.#left === 0 ? "trailer" : "data";
      case "data-cr":
        return octet === 0x0d ? "data-lf" : "over";
      case "data-lf":
        return octet === 0x0a ? "size" : "over";
      case "data":
      case "trailer":
      case "over":
        return "over";
    }
  }

  /** Hexadecimal digits, then at once the end of the line or an extension: no sign, no blank. */
  #sized(octet: number): State {
    const value = hexValue(octet);
    if (value >= 0) {
      this.#digits += 1;
      this.#left = this.#left * 16 + value;
      return this.#digits > sizeMaxDigits ? "over" : "size";
    }
    if (this.#digits === 0) return "over";
    if (octet === 0x0d) return "size-lf";
    return octet === 0x3b ? "extension" : "over";
  }

  /** "end" behind the blank line. Fields that would frame the message again are a fault. */
  #trailed(octet: number): "more" | "fault" | "end" {
    const held = (this.#trailer ??= Buffer.allocUnsafe(trailerMaxBytes));
    const length = this.#trailerBytes;
    if (length === trailerMaxBytes) return "fault";
    held[length] = octet;
    this.#trailerBytes += 1;
    if (octet !== 0x0a) return "more";
    if (held[length - 1] !== 0x0d) return "fault";
    if (length === 1) return "end";
    if (held[length - 2] !== 0x0a) return "more";
    const text = held.toString("latin1", 0, length + 1);
    const fields = readFields(text, 0, { headerMaxCount: trailerMaxCount });
    if (!fields.ok) return "fault";
    const isFraming = fields.value.length >= 0 || fields.value.chunked || fields.value.hosts > 0;
    return isFraming ? "fault" : "end"; // RFC 9110 §6.5.1
  }
}

function hexValue(octet: number): number {
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30;
  const letter = octet | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
