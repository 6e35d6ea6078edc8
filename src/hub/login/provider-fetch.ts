/** HTTPS requests to the OpenID provider over a connection that somebody else makes. */

import { request } from "node:http";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect } from "node:tls";
import type { Clock } from "#base/clock";
import { Unavailable } from "#base/errors";
import type { Endpoint } from "#base/net";

export interface ProviderWay {
  /** Through the edge, or from here. */
  readonly dial: (to: Endpoint, timeoutMs: number) => Promise<Duplex>;
  readonly clock: Clock;
  /** PEM; absent: the system's authorities. */
  readonly authorities?: string;
}

interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

const timeoutMs = 15_000;
const answerMaxBytes = 1024 * 1024;

/** What openid-client needs of `fetch`: no redirect is followed, and answers are small. */
export function providerFetch(way: ProviderWay): (url: string, asked: Asked) => Promise<Response> {
  return async (text, asked) => {
    const url = new URL(text);
    if (url.protocol !== "https:") throw new Unavailable(`${url.origin}: not https`);
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const port = url.port === "" ? 443 : Number(url.port);
    const inner = await way.dial({ host, port }, timeoutMs);
    inner.on("error", () => {}); // heard through the TLS that runs in it
    const secure = connect({
      socket: inner,
      host,
      ...(isIP(host) === 0 && { servername: host }),
      minVersion: "TLSv1.2",
      ALPNProtocols: ["http/1.1"],
      ...(way.authorities !== undefined && { ca: way.authorities }),
    });
    try {
      return await exchange(secure, way.clock, url, asked);
    } finally {
      secure.destroy();
      inner.destroy();
    }
  };
}

function exchange(socket: Duplex, clock: Clock, url: URL, asked: Asked): Promise<Response> {
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown): void =>
      reject(new Unavailable(`${url.origin}: ${why}`, { cause }));
    const body = asked.body === undefined || asked.body === null ? "" : String(asked.body);
    const outgoing = request({
      createConnection: () => socket,
      method: asked.method ?? "GET",
      host: url.host,
      path: url.pathname + url.search,
      headers: {
        ...asked.headers,
        host: url.host,
        connection: "close",
        ...(body !== "" && { "content-length": String(Buffer.byteLength(body)) }),
      },
    });
    const timer = clock.after(timeoutMs, () => outgoing.destroy(new Error("no answer in time")));
    outgoing.on("close", () => timer.cancel());
    outgoing.on("error", (error) => fail(error.message, error));
    socket.on("error", (error) => fail(error.message, error));
    outgoing.on("response", (incoming) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      incoming.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > answerMaxBytes) outgoing.destroy(new Error("too long an answer"));
        else chunks.push(chunk);
      });
      incoming.on("error", (error) => fail(error.message, error));
      incoming.on("end", () => {
        const status = incoming.statusCode ?? 0;
        const type = incoming.headers["content-type"] ?? "";
        const isEmpty = status === 204 || status === 304;
        if (status < 200 || status > 599) return fail(`status ${status}`);
        const content = isEmpty ? null : new Uint8Array(Buffer.concat(chunks));
        resolve(new Response(content, { status, headers: { "content-type": type } }));
      });
    });
    outgoing.end(body);
  });
}
