/**
 * A look at the first message of a TLS handshake, before TLS itself reads it: the server name and
 * the application protocols that the client offers (RFC 8446 §4.1.2, RFC 6066 §3, RFC 7301 §3.1).
 *
 * Node picks a certificate by server name, never by protocol, so a challenge for a name that is
 * served needs this look.
 */

import { Buffer } from "node:buffer";
import { accept, type Result, refuse } from "#base/result";

export interface ClientHello {
  /** Lower case; "" when the client names none. */
  readonly serverName: string;
  /** As sent, in the client's order. */
  readonly protocols: readonly string[];
}

/** "incomplete": the same octets with more behind them may be a whole one. */
export type ClientHelloFault = "incomplete" | "not-a-client-hello";

/** Our limit: key shares of hybrid exchanges included, an honest one has about 2,000 octets. */
const maxHelloOctets = 16 * 1024;

const recordHeadOctets = 5;
const handshakeRecord = 22;
const clientHelloType = 1;
const extensionTypes = { serverName: 0, protocols: 16 } as const;

/** @param octets untrusted: what the client sent so far */
export function peekClientHello(octets: Uint8Array): Result<ClientHello, ClientHelloFault> {
  const message = gather(Buffer.from(octets.buffer, octets.byteOffset, octets.length));
  if (!message.ok) return message;
  const reader = new Reader(message.value);
  reader.skip(2 + 32); // legacy version, random
  reader.vector(1); // session
  reader.vector(2); // cipher suites
  reader.vector(1); // compression
  // A hello of TLS 1.2 may end here (RFC 5246 §7.4.1.2).
  const extensions = reader.left > 0 ? reader.vector(2) : new Reader(Buffer.alloc(0));
  let serverName = "";
  let protocols: readonly string[] = [];
  while (extensions.left > 0 && !extensions.broken) {
    const type = extensions.number(2);
    const data = extensions.vector(2);
    if (type === extensionTypes.serverName) serverName = readServerName(data);
    if (type === extensionTypes.protocols) protocols = readProtocols(data);
    if (data.broken) return refuse("not-a-client-hello");
  }
  if (reader.broken || reader.left > 0 || extensions.broken) return refuse("not-a-client-hello");
  return accept({ serverName, protocols });
}

/** The body of the first handshake message, which may lie in several records (§5.1). */
function gather(octets: Buffer): Result<Buffer, ClientHelloFault> {
  const parts: Buffer[] = [];
  let held = 0;
  for (let at = 0; ; ) {
    if (octets.length > at && octets[at] !== handshakeRecord) return refuse("not-a-client-hello");
    if (octets.length - at < recordHeadOctets) return refuse("incomplete");
    const length = octets.readUInt16BE(at + 3);
    // §5.1: no empty fragments of a handshake; and no more than 2^14 octets in any record.
    if (octets[at + 1] !== 3 || length === 0 || length > 16_384) {
      return refuse("not-a-client-hello");
    }
    const part = octets.subarray(at + recordHeadOctets, at + recordHeadOctets + length);
    parts.push(part);
    held += part.length;
    const head = held < 4 ? undefined : Buffer.concat(parts).readUInt32BE(0);
    if (head !== undefined) {
      const needed = 4 + (head & 0xff_ffff);
      if (head >>> 24 !== clientHelloType || needed > maxHelloOctets) {
        return refuse("not-a-client-hello");
      }
      if (held >= needed) return accept(Buffer.concat(parts).subarray(4, needed));
    }
    if (part.length < length) return refuse("incomplete");
    // A record for each octet would make this loop quadratic.
    if (parts.length >= 16) return refuse("not-a-client-hello");
    at += recordHeadOctets + length;
  }
}

/** RFC 6066 §3: a list in which only host names (type 0) are defined, and one at most. */
function readServerName(data: Reader): string {
  const list = data.vector(2);
  const type = list.number(1);
  const name = list.vector(2).octets.toString("latin1").toLowerCase();
  if (list.broken) data.broken = true;
  return type === 0 ? name : "";
}

/** RFC 7301 §3.1. */
function readProtocols(data: Reader): readonly string[] {
  const list = data.vector(2);
  const protocols: string[] = [];
  while (list.left > 0 && !list.broken) protocols.push(list.vector(1).octets.toString("latin1"));
  if (list.broken) data.broken = true;
  return protocols;
}

/** Numbers and vectors one behind the other; what is missing makes it broken, never an exception. */
class Reader {
  readonly octets: Buffer;
  broken = false;
  #at = 0;

  constructor(octets: Buffer) {
    this.octets = octets;
  }

  get left(): number {
    return this.octets.length - this.#at;
  }

  skip(count: number): void {
    if (count > this.left) this.broken = true;
    this.#at = Math.min(this.octets.length, this.#at + count);
  }

  number(count: 1 | 2): number {
    const from = this.#at;
    this.skip(count);
    return this.broken ? 0 : this.octets.readUIntBE(from, count);
  }

  /** A vector whose length stands before it in so many octets (§3.4). */
  vector(count: 1 | 2): Reader {
    const length = this.number(count);
    const from = this.#at;
    this.skip(length);
    return new Reader(this.broken ? Buffer.alloc(0) : this.octets.subarray(from, from + length));
  }
}
