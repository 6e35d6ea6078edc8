/** Backups in a bucket of an S3-compatible service. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { type Clock, systemClock } from "#base/clock";
import { Misconfigured, Unavailable } from "#base/errors";
import { type Random, systemRandom } from "#base/random";
import type { Result } from "#base/result";
import { OctetReader } from "../octets.ts";
import { type ByteRange, isObjectName, type Octets, type Stored, type Target } from "../target.ts";
import { completeXml, isCompleted, parseListing, parseUploadId, parseUploads } from "./answers.ts";
import { S3Client, type S3Limits, type S3Settings } from "./client.ts";
import { TryAgain } from "./failures.ts";

export interface S3Options {
  readonly limits?: Partial<S3Limits>;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Above the 5 MiB that a service may ask for; what one put holds in memory. */
const partBytes = 8 * 1024 * 1024;
/** S3's own: no upload has more parts. */
const maxParts = 10_000;
/** Of a listing: 1,000 names each. */
const maxListPages = 10_000;

export const usualLimits: S3Limits = {
  attempts: 6,
  firstPauseMs: 250,
  maxPauseMs: 15_000,
  idleMs: 30_000,
  requestMs: 300_000,
};

/**
 * @param prefix "" or words that end in "/": what the backups of this store stand under
 * @throws Misconfigured when the settings cannot be right
 */
export function s3Target(
  settings: S3Settings & { readonly prefix: string },
  { limits, clock = systemClock, random = systemRandom }: S3Options = {},
): Target {
  if (!/^(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}\/){0,8}$/.test(settings.prefix)) {
    throw new Misconfigured(`"${settings.prefix}" is no prefix: words, each with "/" behind it`);
  }
  const client = new S3Client(settings, { ...usualLimits, ...limits }, clock, random);
  return new S3Target(client, settings.prefix, clock);
}

class S3Target implements Target {
  readonly title: string;
  readonly #client: S3Client;
  readonly #prefix: string;
  readonly #clock: Clock;

  constructor(client: S3Client, prefix: string, clock: Clock) {
    this.title = client.title;
    this.#client = client;
    this.#prefix = prefix;
    this.#clock = clock;
  }

  async put(name: string, content: Octets, sizeBytes?: number): Promise<void> {
    const key = this.#keyOf(name);
    const reader = new OctetReader(content);
    try {
      const first = await reader.take(partBytes);
      if (await reader.isAtEnd()) {
        assert.ok(sizeBytes === undefined || first.length === sizeBytes, `${name}: wrong length`);
        await this.#send({ method: "PUT", key, body: first });
      } else await this.#putParts(key, first, reader, sizeBytes);
    } finally {
      await reader.end();
    }
  }

  async get(name: string, range: ByteRange = { offset: 0 }): Promise<Octets | undefined> {
    const key = this.#keyOf(name);
    const { status, headers } = await this.#client.ask({ method: "HEAD", key }, [200, 404]);
    if (status === 404) return undefined;
    const sizeBytes = Number(headers["content-length"] ?? Number.NaN);
    if (!Number.isSafeInteger(sizeBytes)) throw this.#strange("no length");
    const end = Math.min(sizeBytes, range.offset + (range.lengthBytes ?? Infinity));
    return this.#read({ key, etag: headers.etag }, range.offset, end);
  }

  async *list(folder: string): AsyncIterable<Stored> {
    const query = { "list-type": "2", delimiter: "/", prefix: `${this.#prefix}${folder}/` };
    let token: Record<string, string> = {};
    for (let page = 0; page < maxListPages; page += 1) {
      const { text } = await this.#client.ask(
        { method: "GET", query: { ...query, ...token } },
        [200],
      );
      const { objects, next } = this.#value(parseListing(text));
      for (const { key, sizeBytes } of objects) {
        const name = key.startsWith(this.#prefix) ? key.slice(this.#prefix.length) : "";
        if (isObjectName(name) && name.startsWith(`${folder}/`)) yield { name, sizeBytes };
      }
      if (next === undefined) return;
      if (next === token["continuation-token"]) throw this.#strange("a listing without end");
      token = { "continuation-token": next };
    }
    throw this.#strange("a listing without end");
  }

  async remove(name: string): Promise<void> {
    await this.#client.ask({ method: "DELETE", key: this.#keyOf(name) }, [200, 204, 404]);
  }

  async sweep(olderThanMs: number): Promise<number> {
    const beforeMs = this.#clock.nowMs() - olderThanMs;
    const query = { uploads: "", prefix: this.#prefix };
    const { text } = await this.#client.ask({ method: "GET", query }, [200]);
    const old = this.#value(parseUploads(text)).filter(
      ({ key, initiatedAtMs }) =>
        initiatedAtMs < beforeMs &&
        key.startsWith(this.#prefix) &&
        isObjectName(key.slice(this.#prefix.length)),
    );
    for (const { key, uploadId } of old) await this.#abort(key, uploadId);
    return old.length;
  }

  #keyOf(name: string): string {
    assert.ok(isObjectName(name), name);
    return this.#prefix + name;
  }

  /** @returns the ETag, without which the answer is not that of an S3 service */
  async #send(request: Parameters<S3Client["ask"]>[0]): Promise<string> {
    const { etag } = (await this.#client.ask(request, [200])).headers;
    if (etag === undefined || !/^[\x21-\x7e]{1,300}$/.test(etag)) throw this.#strange("no ETag");
    return etag;
  }

  async #putParts(
    key: string,
    first: Buffer,
    reader: OctetReader,
    sizeBytes: number | undefined,
  ): Promise<void> {
    const start = await this.#client.ask({ method: "POST", key, query: { uploads: "" } }, [200]);
    const uploadId = this.#value(parseUploadId(start.text));
    try {
      const etags: string[] = [];
      let sentBytes = 0;
      for (let body = first; body.length > 0; body = await reader.take(partBytes)) {
        assert.ok(etags.length < maxParts, `${key}: too large for one object`);
        const query = { partNumber: String(etags.length + 1), uploadId };
        etags.push(await this.#send({ method: "PUT", key, query, body }));
        sentBytes += body.length;
      }
      assert.ok(sizeBytes === undefined || sentBytes === sizeBytes, `${key}: wrong length`);
      await this.#complete(key, uploadId, etags, sentBytes);
    } catch (error) {
      // A sweep takes what cannot be taken now; the first failure is the one to tell.
      await this.#abort(key, uploadId).catch(() => undefined);
      throw error;
    }
  }

  async #complete(
    key: string,
    uploadId: string,
    etags: readonly string[],
    sizeBytes: number,
  ): Promise<void> {
    const body = Buffer.from(completeXml(etags));
    const headers = { "content-type": "application/xml" };
    const request = { method: "POST", key, query: { uploadId }, headers, body } as const;
    const answer = await this.#client.ask(request, [200, 404]);
    if (answer.status === 200 && isCompleted(answer.text)) return;
    // When the answer to a try that did it all was lost, the next one finds no upload.
    const found = await this.#client.ask({ method: "HEAD", key }, [200, 404]);
    const isThere = found.status === 200 && Number(found.headers["content-length"]) === sizeBytes;
    if (answer.status !== 404 || !isThere) throw this.#strange("an upload that does not end");
  }

  async #abort(key: string, uploadId: string): Promise<void> {
    await this.#client.ask({ method: "DELETE", key, query: { uploadId } }, [200, 204, 404]);
  }

  /** Goes on where a connection broke, as long as it is still the same object. */
  async *#read(
    { key, etag }: { readonly key: string; readonly etag: string | undefined },
    from: number,
    end: number,
  ): Octets {
    const same: Readonly<Record<string, string>> = etag === undefined ? {} : { "if-match": etag };
    let failures = 0;
    for (let at = from; at < end; ) {
      try {
        const headers = { ...same, range: `bytes=${at}-${end - 1}` };
        const { body } = await this.#client.open({ method: "GET", key, headers }, 206);
        for await (const chunk of body) {
          const fitting = chunk.subarray(0, end - at);
          if (fitting.length === 0) break; // more than was asked for
          at += fitting.length;
          failures = 0;
          yield fitting;
        }
        if (at < end) throw new TryAgain(`${this.title} answers too little`, 0);
      } catch (error) {
        failures += 1;
        await this.#client.pause(failures, error);
      }
    }
  }

  #value<Value, Fault extends string>(result: Result<Value, Fault>): Value {
    if (result.ok) return result.value;
    throw this.#strange(result.fault);
  }

  #strange(what: string): Error {
    return new Unavailable(`${this.title} does not answer as an S3 service: ${what}`);
  }
}
