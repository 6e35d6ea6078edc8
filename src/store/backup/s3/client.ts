/** Requests to an S3 service: signed, bounded in time, and tried again when that may help. */

import type { Buffer } from "node:buffer";
import {
  Agent as HttpAgent,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as requestHttp,
} from "node:http";
import { Agent as HttpsAgent, type RequestOptions, request as requestHttps } from "node:https";
import { type Clock, sleep } from "#base/clock";
import { Misconfigured } from "#base/errors";
import type { Random } from "#base/random";
import { gather } from "../octets.ts";
import type { Octets } from "../target.ts";
import { errorCodeIn } from "./answers.ts";
import { connectionFailure, failureOf, TryAgain } from "./failures.ts";
import { percentEncoded, queryText, sha256, signed } from "./sign.ts";

export interface S3Settings {
  /** "https://host", with port and path where needed; "http://" only on a network that is trusted. */
  readonly endpoint: string;
  /** Addressed in the path, not in the host name. */
  readonly bucket: string;
  /** "us-east-1" where the service knows no regions. */
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** PEM of the only authorities to believe; those that Node brings when absent. */
  readonly ca?: string;
}

export interface S3Limits {
  /** Tries of one request. */
  readonly attempts: number;
  /** Before the second try; doubles with each, and half of it is chance. */
  readonly firstPauseMs: number;
  readonly maxPauseMs: number;
  /** Silence on a connection. */
  readonly idleMs: number;
  /** From the begin of a request to the head of its answer; and for the rest of an answer in XML. */
  readonly requestMs: number;
}

export interface S3Request {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** Absent for the bucket itself. Only characters that a URL takes as they are. */
  readonly key?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

export interface S3Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

interface OpenAnswer {
  readonly headers: IncomingHttpHeaders;
  readonly body: Octets;
}

/** A listing of 1,000 names has half of it. */
const maxAnswerBytes = 4 * 1024 * 1024;
const nothing = new Uint8Array(0);

export class S3Client {
  readonly title: string;
  readonly #settings: S3Settings;
  readonly #limits: S3Limits;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #base: URL;
  readonly #agent: HttpAgent | HttpsAgent;

  constructor(settings: S3Settings, limits: S3Limits, clock: Clock, random: Random) {
    this.#base = parseEndpoint(settings.endpoint);
    if (!/^[a-z0-9][a-z0-9._-]{1,62}$/i.test(settings.bucket)) {
      throw new Misconfigured(`"${settings.bucket}" is no name of a bucket`);
    }
    this.title = `bucket ${settings.bucket} at ${this.#base.host}`;
    this.#settings = settings;
    this.#limits = limits;
    this.#clock = clock;
    this.#random = random;
    const keep = { keepAlive: true, maxSockets: 8 };
    const isSecure = this.#base.protocol === "https:";
    const trust = settings.ca === undefined ? {} : { ca: settings.ca };
    this.#agent = isSecure ? new HttpsAgent({ ...keep, ...trust }) : new HttpAgent(keep);
  }

  /**
   * @param hoped statuses that are returned; any other is thrown as what it means
   * @returns the whole answer, at most 4 MiB of it
   */
  async ask(request: S3Request, hoped: readonly number[]): Promise<S3Answer> {
    for (let failures = 0; ; ) {
      try {
        const answer = await this.#send(request);
        const text = await this.#textOf(answer);
        const status = answer.statusCode ?? 0;
        // A service that began to answer too early sends an error with 200.
        const isError = status === 200 && errorCodeIn(text) !== "";
        if (!isError && hoped.includes(status)) return { status, headers: answer.headers, text };
        throw this.#failure(isError ? 500 : status, text, answer.headers);
      } catch (error) {
        failures += 1;
        await this.pause(failures, error);
      }
    }
  }

  /** One try. The body fails with `TryAgain` when the connection does. */
  async open(request: S3Request, hoped: number): Promise<OpenAnswer> {
    const answer = await this.#send(request);
    const status = answer.statusCode ?? 0;
    if (status === hoped) return { headers: answer.headers, body: this.#bodyOf(answer) };
    throw this.#failure(status, await this.#textOf(answer), answer.headers);
  }

  /** Waits before the next try; throws the failure when it was one too many, or for good. */
  async pause(failures: number, failure: unknown): Promise<void> {
    const { attempts, firstPauseMs, maxPauseMs } = this.#limits;
    if (!(failure instanceof TryAgain) || failures >= attempts) throw failure;
    const grownMs = Math.min(maxPauseMs, firstPauseMs * 2 ** (failures - 1));
    const chosenMs = grownMs * (0.5 + this.#random.fraction() / 2);
    // A clock's timer does not keep a command alive that does nothing else meanwhile.
    const hold = setInterval(() => undefined, maxPauseMs);
    await sleep(this.#clock, Math.max(chosenMs, Math.min(failure.afterMs, maxPauseMs)));
    clearInterval(hold);
  }

  #failure(status: number, text: string, headers: IncomingHttpHeaders): Error {
    return failureOf(this.title, status, errorCodeIn(text), headers["retry-after"]);
  }

  #send({ method, key, query, headers, body = nothing }: S3Request): Promise<IncomingMessage> {
    const { bucket } = this.#settings;
    const start = `${this.#base.pathname.replace(/\/+$/, "")}/${percentEncoded(bucket)}`;
    const path = key === undefined ? start : `${start}/${key}`;
    const text = queryText(query ?? {});
    const toSign = {
      method,
      path,
      query: text,
      headers: { ...headers, host: this.#base.host },
      payloadSha256: sha256(body),
    };
    const options = {
      method,
      hostname: this.#base.hostname.replace(/^\[|\]$/g, ""),
      port: this.#base.port,
      path: text === "" ? path : `${path}?${text}`,
      agent: this.#agent,
      headers: {
        ...signed(toSign, this.#settings, this.#clock.nowMs()),
        "content-length": String(body.length),
      },
    };
    return this.#exchange(options, body);
  }

  #exchange(options: RequestOptions, body: Uint8Array): Promise<IncomingMessage> {
    const { idleMs, requestMs } = this.#limits;
    return new Promise((resolve, reject) => {
      const send = this.#base.protocol === "https:" ? requestHttps : requestHttp;
      const outgoing = send(options);
      const giveUp = (): void => void outgoing.destroy(timedOut());
      const timer = this.#clock.after(requestMs, giveUp);
      outgoing.setTimeout(idleMs, giveUp);
      outgoing.on("error", (error) => {
        timer.cancel();
        reject(connectionFailure(this.title, error));
      });
      outgoing.once("response", (answer) => {
        timer.cancel();
        // From here on silence may be ours; the reader of the body keeps the time.
        outgoing.setTimeout(0);
        resolve(answer);
      });
      outgoing.end(body);
    });
  }

  async *#bodyOf(answer: IncomingMessage): Octets {
    try {
      const chunks = answer.iterator() as AsyncIterator<Buffer>;
      for (;;) {
        const timer = this.#clock.after(this.#limits.idleMs, () => answer.destroy(timedOut()));
        const { value, done } = await chunks.next().finally(() => timer.cancel());
        if (done === true) return;
        yield value;
      }
    } catch (error) {
      throw connectionFailure(this.title, error);
    } finally {
      answer.destroy();
    }
  }

  async #textOf(answer: IncomingMessage): Promise<string> {
    const timer = this.#clock.after(this.#limits.requestMs, () => answer.destroy(timedOut()));
    try {
      const octets = await gather(this.#bodyOf(answer), maxAnswerBytes);
      if (octets === undefined) throw new Misconfigured(`${this.title} answers without end`);
      return octets.toString("utf8");
    } finally {
      timer.cancel();
    }
  }
}

function timedOut(): Error {
  return Object.assign(new Error("no answer in time"), { code: "ETIMEDOUT" });
}

function parseEndpoint(text: string): URL {
  const url = URL.parse(text);
  const isRight =
    url !== null &&
    (url.protocol === "https:" || url.protocol === "http:") &&
    url.username === "" &&
    url.search === "" &&
    url.hash === "";
  if (isRight) return url;
  throw new Misconfigured('an S3 endpoint is "https://host" or "http://host", with port and path');
}
