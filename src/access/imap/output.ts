/** What goes to the client: gathered, written in few large pieces, and held back when it does not read. */

import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";

/** Gathered text and octets are written above this size, so that TLS records are full. */
const writeAboveBytes = 65_536;

export class Output {
  readonly #socket: Duplex;
  readonly #highWaterBytes: number;
  #parts: Buffer[] = [];
  #text = "";
  #bytes = 0;
  #waiting: (() => void)[] = [];
  #closed = false;

  constructor(socket: Duplex, highWaterBytes: number) {
    this.#socket = socket;
    this.#highWaterBytes = highWaterBytes;
    socket.on("drain", () => this.#wake());
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The client does not read what it was sent. */
  get full(): boolean {
    return this.#socket.writableLength > this.#highWaterBytes;
  }

  /** Nothing waits to be sent. */
  get empty(): boolean {
    return this.#socket.writableLength === 0;
  }

  text(text: string): void {
    this.#text += text;
    if (this.#text.length > writeAboveBytes) this.flush();
  }

  line(text: string): void {
    this.text(`${text}\r\n`);
  }

  bytes(octets: Buffer): void {
    this.#takeText();
    this.#parts.push(octets);
    this.#bytes += octets.length;
    if (this.#bytes > writeAboveBytes) this.flush();
  }

  flush(): void {
    this.#takeText();
    if (this.#bytes === 0) return;
    const parts = this.#parts;
    const all = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
    this.#parts = [];
    this.#bytes = 0;
    if (!this.#closed) this.#socket.write(all);
  }

  /** A promise when the client must read first. It also resolves when the connection is gone. */
  drained(): Promise<void> | undefined {
    if (this.#closed || !this.full) return undefined;
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  close(): void {
    this.#closed = true;
    this.#parts = [];
    this.#text = "";
    this.#bytes = 0;
    this.#wake();
  }

  #takeText(): void {
    if (this.#text === "") return;
    const octets = Buffer.from(this.#text, "utf8");
    this.#text = "";
    this.#parts.push(octets);
    this.#bytes += octets.length;
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
