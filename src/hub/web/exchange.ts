/** One web stream as the service sees it: a checked request, its body, and ways to answer. */

import { Unavailable } from "#base/errors";
import type { LinkStream } from "#contracts/link";
import type { HeaderList, WebRefusal, WebRequest, WebResponse } from "#contracts/web";

export interface Exchange {
  readonly ask: WebRequest;
  /** Segments of the path; the last is "" behind a closing slash. */
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
  /** Of the request, by lower-case name; the first when it comes again. */
  header(name: string): string | undefined;
  /** Octets of the body, once. */
  readonly body: AsyncIterable<Buffer>;
  /** Resolves when the client is gone. */
  readonly gone: Promise<string>;
  answer(status: number, headers: Readonly<Record<string, string>>, body?: Uint8Array): void;
  json(status: number, value: unknown): void;
  /** No answer of the application: the edge makes one. */
  refuse(refused: WebRefusal): void;
  stream(
    status: number,
    headers: Readonly<Record<string, string>>,
    body: AsyncIterable<Uint8Array>,
    bodyBytes?: number,
  ): Promise<void>;
  abort(why: string): void;
}

/** Must be called in the turn that the stream arrived in: nothing of it may be missed. */
export function exchangeOn(stream: LinkStream, ask: WebRequest): Exchange | undefined {
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
  const [path = "", query = ""] = ask.target.split("?", 2);
  const segments = segmentsOf(path);
  if (segments === undefined || !methods.has(ask.method)) {
    stream.abort("malformed request");
    return undefined;
  }
  const head = ask.method === "HEAD";
  // Who answers has read what it wanted of the body: the rest must not stay on the link.
  const begin = (answer: WebResponse): void => {
    body.drop();
    stream.answer(answer);
  };
  const exchange: Exchange = {
    ask,
    segments,
    query: new URLSearchParams(query),
    header: (name) => ask.headers.find(([field]) => field === name)?.[1],
    body,
    gone: gone.promise,
    answer(status, headers, content) {
      begin(headOf(status, headers, content?.length ?? 0));
      if (content === undefined || head) stream.end();
      else void sendAll(stream, content);
    },
    json(status, value) {
      const type = status >= 400 ? "application/problem+json" : "application/json";
      const content = Buffer.from(JSON.stringify(value));
      exchange.answer(status, { "content-type": type, "cache-control": "no-store" }, content);
    },
    refuse(refused) {
      begin({ refused });
      stream.end();
    },
    async stream(status, headers, content, bodyBytes) {
      begin(headOf(status, headers, bodyBytes));
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

function headOf(
  status: number,
  headers: Readonly<Record<string, string>>,
  bodyBytes?: number,
): WebResponse {
  const fields: HeaderList = Object.entries(headers);
  return { status, headers: fields, ...(bodyBytes !== undefined && { bodyBytes }) };
}

/** What our own application knows. */
const methods: ReadonlySet<string> = new Set(["GET", "HEAD", "POST"]);

/** @returns undefined when an escape is none, or stands for no UTF-8 */
function segmentsOf(path: string): readonly string[] | undefined {
  try {
    return path.slice(1).split("/").map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

/** The body as an iterable: each chunk is held until it is asked for, so the link slows the client. */
class Body implements AsyncIterable<Buffer> {
  readonly #waiting: { readonly chunk: Buffer; readonly taken: () => void }[] = [];
  #over = false;
  #broken: string | undefined;
  #wake: (() => void) | undefined;
  #isWanted = true;

  take(chunk: Buffer): void | Promise<void> {
    if (!this.#isWanted) return;
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
    this.drop();
    this.#wake?.();
  }

  /** Nobody reads what was not read yet, or comes later. */
  drop(): void {
    this.#isWanted = false;
    for (const { taken } of this.#waiting.splice(0)) taken();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    while (true) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        try {
          yield next.chunk;
        } finally {
          next.taken(); // also where the reader stops here
        }
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
