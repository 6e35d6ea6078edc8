/** SMTP replies on the wire (RFC 5321 §4.2, enhanced codes of RFC 2034 and RFC 3463). */

import type { Buffer } from "node:buffer";
import { accept, type Result, refuse } from "#base/result";
import type { Reply } from "#model/reply";

/** Every line carries the code and, where there is one, the enhanced status (RFC 2034 §4). */
export function formatReply(reply: Reply): string {
  const { code, status, text } = reply;
  const prefix = status === undefined ? "" : `${status} `;
  if (typeof text === "string") return `${code} ${prefix}${clean(text)}\r\n`;
  let wire = "";
  for (let index = 0; index < text.length; index += 1) {
    const mark = index === text.length - 1 ? " " : "-";
    wire += `${code}${mark}${prefix}${clean(text[index] ?? "")}\r\n`;
  }
  return text.length === 0 ? `${code} ${prefix}\r\n` : wire;
}

/** RFC 5321 §4.5.3.1.5: a line ends at 512 octets; what we quote may not break out of it. */
function clean(line: string): string {
  const safe = /^[\t\x20-\x7e]*$/.test(line) ? line : line.replace(/[^\t\x20-\x7e]+/g, "?");
  return safe.length > 490 ? safe.slice(0, 490) : safe;
}

export type ReplyFault = "bad-line" | "codes-differ" | "too-long";

/** Our limits on what a server may say at once: characters of one line, and lines. */
const maxLine = 2048;
const maxLines = 100;

const replyLine = /^([2-5][0-9]{2})(?:([ -])(.*))?$/s;
const enhanced = /^([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: (.*))?$/s;

/** Collects replies from the chunks of a connection; one per connection. */
export class ReplyParser {
  #rest = "";
  #code = 0;
  #status: string | undefined;
  #lines: string[] = [];

  /**
   * @param chunk untrusted octets
   * @returns the replies completed by it; after a fault the connection is of no more use
   */
  push(chunk: Buffer): Result<readonly Reply[], ReplyFault> {
    const text = this.#rest + chunk.toString("latin1");
    const replies: Reply[] = [];
    let at = 0;
    for (;;) {
      const end = text.indexOf("\n", at);
      if (end < 0) break;
      const fault = this.#takeLine(text.slice(at, text[end - 1] === "\r" ? end - 1 : end), replies);
      if (fault !== null) return refuse(fault, at);
      at = end + 1;
    }
    this.#rest = text.slice(at);
    return this.#rest.length > maxLine ? refuse("too-long", at) : accept(replies);
  }

  /** True while part of a reply is held. */
  get inReply(): boolean {
    return this.#rest !== "" || this.#lines.length > 0;
  }

  #takeLine(line: string, replies: Reply[]): ReplyFault | null {
    if (line.length > maxLine || this.#lines.length >= maxLines) return "too-long";
    const found = replyLine.exec(line);
    if (found === null) return "bad-line";
    const code = Number(found[1]);
    if (this.#lines.length > 0 && code !== this.#code) return "codes-differ"; // §4.2.1
    const words = found[3] ?? "";
    const parts = enhanced.exec(words);
    const matches = parts !== null && parts[1]?.[0] === found[1]?.[0];
    if (this.#lines.length === 0) this.#status = matches ? parts[1] : undefined;
    this.#code = code;
    this.#lines.push(matches && parts[1] === this.#status ? (parts[2] ?? "") : words);
    if (found[2] === "-") return null;
    const lines = this.#lines;
    const text = lines.length === 1 ? (lines[0] ?? "") : lines;
    replies.push({ code, ...(this.#status !== undefined && { status: this.#status }), text });
    this.#lines = [];
    return null;
  }
}
