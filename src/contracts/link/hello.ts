/** First words on a link: version, class and nonce of the session, one frame from each end. */

import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import { buffer } from "#base/bytes";
import type { Clock } from "#base/clock";
import { Unavailable } from "#base/errors";
import { FrameReader, frameTypes, textFrame } from "./frames.ts";
import { type LinkClass, linkClasses } from "./kinds.ts";

/** ALPN name (RFC 7301). */
export const linkProtocol = "postern-link/1";
/** 2: streams of kind witness. 3: of kind certify and tcp; web requests name their application. 4: recipient, authenticate. */
export const linkVersion = 4;
/** A tier may be one version behind the other while both are being upgraded. */
const oldestVersion: number = Math.max(1, linkVersion - 1);

export interface Hello {
  readonly version: number;
  readonly linkClass: LinkClass;
  /** 32 hexadecimal digits, new with each start of the program: tells a restart from a new link. */
  readonly nonce: string;
}

/**
 * Sends our hello and takes the peer's. What the peer sent behind it stays in the connection.
 *
 * @throws Unavailable when the peer says nothing in time, goes, or says something else
 */
export function exchangeHello(
  duplex: Duplex,
  own: Hello,
  clock: Clock,
  timeoutMs: number,
): Promise<Hello> {
  return new Promise((resolve, reject) => {
    let hello: Hello | undefined;
    const rest: Buffer[] = [];
    const reader = new FrameReader({
      frame(type, stream, payload) {
        if (type !== frameTypes.hello || stream !== 0) return "hello expected";
        hello = parseHello(payload);
        // Stops the reader: what follows belongs to the streams.
        return hello === undefined ? "hello not understood" : "complete";
      },
      dataBegins: () => "hello expected",
      data: () => "hello expected",
    });
    const finish = (why: string): void => {
      timer.cancel();
      duplex.off("data", hear).off("error", fail).off("close", gone).off("end", gone);
      if (hello === undefined) {
        duplex.on("error", () => {});
        duplex.destroy();
        reject(new Unavailable(`link: ${why}`));
        return;
      }
      duplex.pause();
      if (rest.length > 0) duplex.unshift(Buffer.concat(rest));
      resolve(hello);
    };
    const hear = (chunk: Uint8Array): void => {
      const bytes = buffer(chunk);
      const [fault, used] = pushCounted(reader, bytes);
      if (fault === undefined) return;
      if (used < bytes.length) rest.push(bytes.subarray(used));
      finish(fault);
    };
    const fail = (error: Error): void => finish(error.message);
    const gone = (): void => finish("closed before the hello");
    const timer = clock.after(timeoutMs, () => finish("no hello in time"));
    duplex.on("data", hear).on("error", fail).on("close", gone).on("end", gone);
    duplex.write(textFrame(frameTypes.hello, 0, JSON.stringify(own)));
  });
}

/** Pushes no further than the frame that ends it. A hello is short, so octet by octet is fine. */
function pushCounted(reader: FrameReader, bytes: Buffer): readonly [string | undefined, number] {
  for (let at = 0; at < bytes.length; at += 1) {
    const fault = reader.push(bytes.subarray(at, at + 1));
    if (fault !== undefined) return [fault, at + 1];
  }
  return [undefined, bytes.length];
}

function parseHello(payload: Buffer): Hello | undefined {
  let value: unknown;
  try {
    value = JSON.parse(payload.toString());
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { version, linkClass, nonce } = value as Record<string, unknown>;
  if (!Number.isInteger(version) || (version as number) < oldestVersion) return undefined;
  if (typeof nonce !== "string" || !/^[0-9a-f]{32}$/.test(nonce)) return undefined;
  const known = linkClasses.find((name) => name === linkClass);
  return known === undefined ? undefined : { version: version as number, linkClass: known, nonce };
}
