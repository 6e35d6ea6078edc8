/**
 * How the two ends of an enrolment speak: lines in a TLS 1.3 connection, each with a proof.
 *
 * A proof is HMAC-SHA-256 by the token's secret over the line, whose line it is, the certificates of
 * both ends, and octets that only this connection has (RFC 8446 §7.5): a line of another
 * connection, of the other end, or between other certificates proves nothing.
 */

import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { Clock } from "#base/clock";
import { Unavailable } from "#base/errors";
import { type Fingerprint, parseFingerprint } from "#contracts/link";

/** ALPN name (RFC 7301): nobody takes this for a link, nor a link for this. */
export const enrolProtocol = "postern-enrol/1";

export type Said = "offer" | "welcome" | "kept" | "done";

/** Two certificates and some settings; in octets. */
const maxLineBytes = 16_384;
const lineWithinMs = 10_000;
const proofLength = 64;
const proofLetters = /^[0-9a-f]{64}$/;

/** One end proved something else than that it has the token. */
export class WrongProof extends Error {
  override readonly name = "WrongProof";
}

export interface Talk {
  say(what: Said, body: unknown): void;
  /**
   * The peer's next line.
   *
   * @throws WrongProof when it is not proved; Unavailable when none comes
   */
  hear(what: Said): Promise<unknown>;
  end(): void;
}

export interface TalkEnds {
  readonly secret: Buffer;
  readonly hub: Fingerprint;
  readonly edge: Fingerprint;
}

export function talkOn(socket: TLSSocket, ends: TalkEnds, clock: Clock): Talk {
  const lines = lineReader(socket, clock);
  const channel = socket.exportKeyingMaterial(32, "EXPORTER-postern-enrol", Buffer.alloc(0));
  const proofOf = (what: Said, json: string): string =>
    createHmac("sha256", ends.secret)
      .update(`${enrolProtocol}\0${what}\0${ends.hub}\0${ends.edge}\0`)
      .update(channel)
      .update(json)
      .digest("hex");
  return {
    say(what, body) {
      const json = JSON.stringify(body);
      socket.write(`${proofOf(what, json)}${json}\n`);
    },
    async hear(what) {
      const line = await lines.next();
      const proof = line.slice(0, proofLength);
      const json = line.slice(proofLength);
      if (!proofLetters.test(proof) || !isSame(proof, proofOf(what, json))) {
        throw new WrongProof(`what came as "${what}" was not proved`);
      }
      // Proved: only the other end of this enrolment can have written it.
      return JSON.parse(json) as unknown;
    },
    end: () => void socket.end(),
  };
}

function isSame(one: string, other: string): boolean {
  return timingSafeEqual(Buffer.from(one), Buffer.from(other));
}

interface LineReader {
  next(): Promise<string>;
}

/** Lines of bounded length, each within its time. */
function lineReader(socket: TLSSocket, clock: Clock): LineReader {
  let held = "";
  let gone: string | undefined;
  let look: () => void = () => {};
  socket.setEncoding("utf8");
  socket.on("data", (text: string) => {
    held += text;
    if (held.length > maxLineBytes) {
      gone = "a line is too long";
      socket.destroy();
    }
    look();
  });
  const over = (why: string) => (): void => {
    gone ??= why;
    look();
  };
  socket.on("error", over("the connection broke"));
  socket.on("end", over("the other end closed the connection"));
  socket.on("close", over("the other end closed the connection"));
  return {
    next: () =>
      new Promise((resolve, reject) => {
        const timer = clock.after(lineWithinMs, () => {
          over("the other end said nothing in time")();
          socket.destroy();
        });
        look = () => {
          const end = held.indexOf("\n");
          const isWhole = end >= 0 && held.length <= maxLineBytes;
          if (!isWhole && gone === undefined) return;
          look = () => {};
          timer.cancel();
          if (!isWhole) return reject(new Unavailable(gone ?? "gone"));
          resolve(held.slice(0, end));
          held = held.slice(end + 1);
        };
        look();
      }),
  };
}

/** SHA-256 of the certificate that the other end of the handshake proved to hold. */
export function peerFingerprint(socket: TLSSocket): Fingerprint | undefined {
  return parseFingerprint(socket.getPeerCertificate().fingerprint256 ?? "");
}
