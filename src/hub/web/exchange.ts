/** One web stream as the service sees it: a checked request, its body, and ways to answer. */

import { Unavailable } from "#base/errors";
import type { LinkStream } from "#contracts/link";
import type { WebRequest } from "#contracts/web";

export interface Exchange {
  readonly ask: WebRequest;
  /** Segments of the path; the last is "" behind a closing slash. */
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
  /** Octets of the body, once. */
  readonly body: AsyncIterable<Buffer>;
  /** Resolves when the client is gone. */
  readonly gone: Promise<string>;
  answer(status: number, headers: Readonly<Record<string, string>>, body?: Uint8Array): void;
  json(status: number, value: unknown): void;
  stream(
    status: number,
    headers: Readonly<Record<string, string>>,
    body: AsyncIterable<Uint8Array>,
  ): Promise<void>;
  abort(why: string): void;
}

/** Must be called in the turn that the stream arrived in: nothing of it may be missed. */
export function exchangeOn(stream: LinkStream): Exchange | undefined {
  const body = new Body();
  const gone = Promise.withResolvers<string>();
  stream.receive({
    data: (chunk) => body.take(chunk),
    end: () => body.finish(),
    broken: (why) => {
      body.fail(why);
      gone.resolve(why);
    },
  });
  const ask = webRequest(stream.header);
  if (ask === undefined) {
    stream.abort("malformed request");
    return undefined;
  }
  const [path = "", query = ""] = ask.target.split("?", 2);
  const head = ask.method === "HEAD";
  const exchange: Exchange = {
    ask,
    segments: path.slice(1).split("/").map(decodeURIComponent),
    query: new URLSearchParams(query),
    body,
    gone: gone.promise,
    answer(status, headers, content) {
      const length: Record<string, string> =
        status === 204 || status === 304 ? {} : { "content-length": String(content?.length ?? 0) };
      stream.answer({ status, headers: { ...length, ...headers } });
      if (content === undefined || head) stream.end();
      else void sendAll(stream, content);
    },
    json(status, value) {
      const type = status >= 400 ? "application/problem+json" : "application/json";
      const content = Buffer.from(JSON.stringify(value));
      exchange.answer(status, { "content-type": type, "cache-control": "no-store" }, content);
    },
    async stream(status, headers, content) {
      stream.answer({ status, headers });
      if (!head) {
        for await (const chunk of content) if (!stream.send(chunk)) await stream.drained();
      }
      stream.end();
    },
    abort: (why) => stream.abort(why),
  };
  return exchange;
}

async function sendAll(stream: LinkStream, content: Uint8Array): Promise<void> {
  const pieceBytes = 64 * 1024;
  try {
    for (let at = 0; at < content.length; at += pieceBytes) {
      if (!stream.send(content.subarray(at, at + pieceBytes))) await stream.drained();
    }
    stream.end();
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error; // the client went away
  }
}

/** The edge is checked like anybody else: it may be owned. */
function webRequest(header: unknown): WebRequest | undefined {
  if (typeof header !== "object" || header === null) return undefined;
  const { method, target, headers, session, clientAddress, host } = header as Partial<WebRequest>;
  const methodFits = method === "GET" || method === "HEAD" || method === "POST";
  if (!methodFits || typeof target !== "string" || typeof host !== "string") return undefined;
  if (!/^\/[\x21-\x7e]{0,4095}$/.test(target) || /%(?![0-9A-Fa-f]{2})/.test(target)) {
    return undefined;
  }
  if (typeof clientAddress !== "string" || clientAddress.length > 64) return undefined;
  if (!/^[a-z0-9.:[\]-]{1,270}$/.test(host)) return undefined;
  if (session !== undefined && !/^[A-Za-z0-9_-]{16,256}$/.test(String(session))) return undefined;
  if (typeof headers !== "object" || headers === null) return undefined;
  if (!Object.values(headers).every((value) => typeof value === "string")) return undefined;
  if (!decodable(target)) return undefined;
  return {
    method,
    target,
    headers,
    clientAddress,
    host,
    ...(session !== undefined && { session }),
  };
}

function decodable(target: string): boolean {
  try {
    decodeURIComponent(target.split("?")[0] ?? "");
    return true;
  } catch {
    return false;
  }
}

/** The body as an iterable: each chunk is held until it is asked for, so the link slows the client. */
class Body implements AsyncIterable<Buffer> {
  readonly #waiting: { readonly chunk: Buffer; readonly taken: () => void }[] = [];
  #over = false;
  #broken: string | undefined;
  #wake: (() => void) | undefined;

  take(chunk: Buffer): Promise<void> {
    return new Promise((taken) => {
      this.#waiting.push({ chunk, taken });
      this.#wake?.();
    });
  }

  finish(): void {
    this.#over = true;
    this.#wake?.();
  }

  fail(why: string): void {
    this.#broken = why;
    for (const { taken } of this.#waiting.splice(0)) taken();
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    while (true) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        yield next.chunk;
        next.taken();
      } else if (this.#broken !== undefined) throw new Unavailable(this.#broken);
      else if (this.#over) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

/** Octets of bodies that may be held, by whose they are. */
export class BodyRoom {
  readonly #roomBytes: number;
  readonly #held = new Map<string, number>();

  constructor(roomBytes: number) {
    this.#roomBytes = roomBytes;
  }

  /** @throws Unavailable when its owner holds too much already */
  hold(owner: string, bytes: number): void {
    const held = (this.#held.get(owner) ?? 0) + bytes;
    if (held > this.#roomBytes) throw new Unavailable("too many requests at once");
    this.#held.set(owner, held);
  }

  release(owner: string, bytes: number): void {
    const left = (this.#held.get(owner) ?? 0) - bytes;
    if (left > 0) this.#held.set(owner, left);
    else this.#held.delete(owner);
  }
}

/**
 * The whole body, or undefined when it is larger.
 *
 * @throws Unavailable when the bodies of this owner together are too large
 */
export async function wholeBody(
  body: AsyncIterable<Buffer>,
  maxBytes: number,
  room: BodyRoom,
  owner: string,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body) {
      if (bytes + chunk.length > maxBytes) return undefined;
      room.hold(owner, chunk.length);
      bytes += chunk.length;
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } finally {
    room.release(owner, bytes);
  }
}
