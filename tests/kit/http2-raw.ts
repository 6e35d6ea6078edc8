/** An HTTP/2 client that makes its frames by hand, so that it can break every rule (RFC 9113 §4). */

import { Buffer } from "node:buffer";
import { connect, type TLSSocket } from "node:tls";

export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const endStream = 1;
export const endHeaders = 4;
export const acknowledges = 1;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export type Fields = readonly (readonly [name: string, value: string])[];

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Every field literal, never indexed, without Huffman (RFC 7541 §6.2.2): any octet can be in it. */
export function fieldBlock(fields: Fields): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of fields) {
    parts.push(Buffer.of(0), textOf(name), textOf(value));
  }
  return Buffer.concat(parts);
}

function textOf(text: string): Buffer {
  const octets = Buffer.from(text, "latin1");
  return Buffer.concat([prefixed(octets.length, 7, 0), octets]);
}

/** RFC 7541 §5.1. */
export function prefixed(value: number, bits: number, first: number): Buffer {
  const most = 2 ** bits - 1;
  if (value < most) return Buffer.of(first | value);
  const octets = [first | most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) octets.push((rest % 128) | 128);
  return Buffer.from([...octets, rest]);
}

export function uint32(value: number): Buffer {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(value);
  return octets;
}

export function setting(id: number, value: number): Buffer {
  return Buffer.concat([Buffer.of(id >> 8, id & 255), uint32(value)]);
}

export class RawHttp2 {
  readonly socket: TLSSocket;
  readonly frames: Frame[] = [];
  isClosed = false;
  #held: Buffer = Buffer.alloc(0);
  #waiting: (() => void)[] = [];

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on("data", (octets: Buffer) => this.#heard(octets));
    socket.on("error", () => {});
    socket.on("close", () => {
      this.isClosed = true;
      this.#wake();
    });
  }

  /** @param settings payload of the first SETTINGS frame; undefined: not even the preface is sent */
  static connect(
    port: number,
    servername: string,
    settings: Uint8Array | undefined = setting(1, 0),
  ): Promise<RawHttp2> {
    return new Promise((resolve, reject) => {
      const socket = connect({
        ...{ host: "127.0.0.1", port, servername, rejectUnauthorized: false },
        ALPNProtocols: ["h2"],
      });
      socket.once("error", reject);
      socket.once("secureConnect", () => {
        socket.off("error", reject);
        const client = new RawHttp2(socket);
        if (settings !== undefined) {
          socket.write(Buffer.concat([preface, frame(frameTypes.settings, 0, 0, settings)]));
        }
        resolve(client);
      });
    });
  }

  send(...frames: readonly Uint8Array[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(frames));
  }

  request(stream: number, fields: Fields, flags: number = endStream | endHeaders): void {
    this.send(frame(frameTypes.headers, flags, stream, fieldBlock(fields)));
  }

  /** Resolves to the first frame that fits, or to nothing once the connection or the time is over. */
  async until(fits: (frame: Frame) => boolean, withinMs = 3000): Promise<Frame | undefined> {
    const dueMs = Date.now() + withinMs;
    for (;;) {
      const found = this.frames.find(fits);
      if (found !== undefined || this.isClosed || Date.now() >= dueMs) return found;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(dueMs - Date.now(), 1));
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Status of a response, or how the stream ended without one. */
  async outcome(stream: number): Promise<string> {
    const { headers, rstStream, goaway } = frameTypes;
    const found = await this.until(
      ({ type, stream: id }) =>
        (id === stream && (type === headers || type === rstStream)) || type === goaway,
    );
    if (found === undefined) return this.isClosed ? "closed" : "nothing";
    if (found.type === headers) return String(statusIn(found.payload));
    const code = found.payload.readUInt32BE(found.type === goaway ? 4 : 0);
    return found.type === goaway ? `goaway ${code}` : `reset ${code}`;
  }

  /** Code of the GOAWAY frame; "closed" for an end without one, "open" for none. */
  async ending(withinMs = 3000): Promise<string> {
    const last = await this.until(({ type }) => type === frameTypes.goaway, withinMs);
    if (last !== undefined) return `goaway ${last.payload.readUInt32BE(4)}`;
    return this.isClosed ? "closed" : "open";
  }

  close(): void {
    this.socket.destroy();
  }

  #heard(octets: Buffer): void {
    this.#held = Buffer.concat([this.#held, octets]);
    while (this.#held.length >= 9) {
      const end = 9 + this.#held.readUIntBE(0, 3);
      if (this.#held.length < end) break;
      const [type = 0, flags = 0] = this.#held.subarray(3, 5);
      const stream = this.#held.readUInt32BE(5);
      this.frames.push({ type, flags, stream, payload: this.#held.subarray(9, end) });
      this.#held = this.#held.subarray(end);
    }
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

/** Indices 8 to 14 of the static table (RFC 7541 Appendix A). */
const indexed = [200, 204, 206, 304, 400, 404, 500];

/** Of a block that needs no dynamic table, as our settings ask for; `:status` comes first. */
function statusIn(block: Buffer): number {
  let at = 0;
  while (((block[at] ?? 0) & 0xe0) === 0x20) at += 1; // sizes of the dynamic table
  const first = block[at] ?? 0;
  if ((first & 0x80) !== 0) return indexed[(first & 0x7f) - 8] ?? 0;
  const length = block[at + 1] ?? 0;
  const value = block.subarray(at + 2, at + 2 + (length & 0x7f));
  return Number((length & 0x80) === 0 ? value.toString() : digitsOf(value));
}

/** Digits in Huffman's code (RFC 7541 Appendix B): five bits for 0 to 2, six for the others. */
function digitsOf(octets: Buffer): string {
  const bits = [...octets].map((octet) => octet.toString(2).padStart(8, "0")).join("");
  let text = "";
  for (let at = 0; at + 5 <= bits.length; ) {
    const five = Number.parseInt(bits.slice(at, at + 5), 2);
    if (five <= 2) {
      text += five;
      at += 5;
      continue;
    }
    const six = Number.parseInt(bits.slice(at, at + 6), 2);
    if (six < 25 || six > 31 || at + 6 > bits.length) break;
    text += six - 22;
    at += 6;
  }
  return text;
}
