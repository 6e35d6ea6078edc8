/**
 * An HTTP/2 connection: node:http2 on a TLS socket of ours, held to few resources (RFC 9113 §10.5).
 * What Node and nghttp2 bound by themselves is set here; what they do not is counted here.
 */

import { constants, performServerHandshake, type ServerHttp2Session } from "node:http2";
import type { TLSSocket } from "node:tls";
import type { HeaderList } from "#contracts/web";
import type { Client, Front, Held } from "./front.ts";
import { Http2Turn } from "./http2-turn.ts";
import type { IncomingHead } from "./incoming.ts";

/** Requests at once on one connection, the value that RFC 9113 §6.5.2 gives as the least useful. */
const maxStreams = 100;
/** A body in flight; all bodies of a connection together. */
const streamWindowBytes = 256 * 1024;
const connectionWindowBytes = 512 * 1024;
/** Cookies may come in pieces (RFC 9113 §8.2.3), each a field of its own until they are joined. */
const cookieCrumbs = 64;
/** Pings, settings and requests taken back, on one connection: at once, and more each second. */
const freeActs = 60;
const actsPerSecond = 2;
/** A session that was told to end is cut off after this. */
const lingerMs = 2_000;

export class Http2Connection implements Held {
  readonly #front: Front;
  readonly #socket: TLSSocket;
  readonly #session: ServerHttp2Session;
  readonly #turns = new Set<Http2Turn>();
  #requestsLeft: number;
  /** Since when there is no request, or it is closing. */
  #sinceMs: number;
  #isClosing = false;
  #acts = freeActs;
  #actsAtMs: number;

  constructor(socket: TLSSocket, client: Client, front: Front) {
    this.#front = front;
    this.#socket = socket;
    this.#requestsLeft = front.limits.requestsPerConnection;
    this.#sinceMs = front.now.tickMs;
    this.#actsAtMs = front.now.tickMs;
    const session = performServerHandshake(socket, optionsOf(front));
    this.#session = session;
    session.setLocalWindowSize(connectionWindowBytes);
    session.on("error", () => this.destroy());
    session.on("ping", () => this.#act("http2-ping"));
    session.on("remoteSettings", () => this.#act("http2-settings"));
    session.on("stream", (stream, _headers, _flags, raw: readonly string[]) => {
      const head = headOf(raw, stream.endAfterHeaders, client);
      if (head === undefined) {
        stream.on("error", () => {});
        stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
        return;
      }
      this.#begin(new Http2Turn(front, stream, head));
      stream.on("aborted", () => this.#act("http2-reset"));
    });
  }

  #begin(turn: Http2Turn): void {
    this.#turns.add(turn);
    this.#requestsLeft -= 1;
    if (this.#requestsLeft <= 0) this.#close();
    this.#front.onRequest(turn);
  }

  /** Cheap for the client and not for us: few are honest (CVE-2023-44487, CVE-2019-9512, -9515). */
  #act(why: string): void {
    const nowMs = this.#front.now.tickMs;
    const grown = ((nowMs - this.#actsAtMs) / 1000) * actsPerSecond;
    this.#acts = Math.min(freeActs, this.#acts + grown) - 1;
    this.#actsAtMs = nowMs;
    if (this.#acts >= 0 || this.#session.destroyed) return;
    this.#front.events.connectionRefused(why);
    this.#session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    this.#session.destroy();
  }

  #close(): void {
    if (this.#isClosing || this.#session.destroyed) return;
    this.#isClosing = true;
    this.#session.close();
  }

  sweep(): void {
    const nowMs = this.#front.now.tickMs;
    for (const turn of this.#turns) if (!turn.sweep()) this.#turns.delete(turn);
    if (this.#turns.size > 0) this.#sinceMs = nowMs;
    const waitedMs = nowMs - this.#sinceMs;
    if (this.#isClosing) {
      if (waitedMs > lingerMs) this.destroy();
    } else if (waitedMs > this.#front.limits.keepAliveTimeoutMs) {
      this.#sinceMs = nowMs;
      this.#close();
    }
  }

  destroy(): void {
    if (!this.#session.destroyed) this.#session.destroy();
    this.#socket.destroy();
  }
}

function optionsOf({ limits }: Front) {
  return {
    settings: {
      enablePush: false,
      enableConnectProtocol: false,
      headerTableSize: 4096,
      initialWindowSize: streamWindowBytes,
      maxConcurrentStreams: maxStreams,
      maxFrameSize: 16_384,
      maxHeaderListSize: limits.headerMaxBytes,
    },
    maxHeaderListPairs: limits.headerMaxCount + cookieCrumbs,
    /** Megabytes for heads, windows and what waits to be sent. */
    maxSessionMemory: 4,
    maxSettings: 16,
    maxOutstandingPings: 4,
    maxSessionInvalidFrames: 32,
    maxSessionRejectedStreams: 32,
    streamResetBurst: 2 * freeActs,
    streamResetRate: 2 * actsPerSecond,
    strictSingleValueFields: false, // several of a name are judged with all other rules
  };
}

/**
 * The head as HTTP/1.1 would have it; undefined when nothing could be made of it (RFC 9113 §8.3).
 *
 * @param raw names and values in turn, checked by nghttp2: lower case, no CR, LF or NUL, no fields
 *   of a connection, pseudo-fields first and once
 */
function headOf(
  raw: readonly string[],
  endsAtOnce: boolean,
  client: Client,
): IncomingHead | undefined {
  const headers: (readonly [string, string])[] = [];
  let [method, target, authority, host, cookie] = ["", "", "", "", ""];
  let length = -1;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? "";
    const value = raw[at + 1] ?? "";
    if (name === ":method") method = value;
    else if (name === ":path") target = value;
    else if (name === ":authority") authority = value;
    else if (name.startsWith(":")) continue;
    else if (name === "host") host = value;
    // RFC 9113 §8.2.3: joined before anybody else sees them.
    else if (name === "cookie") cookie += (cookie === "" ? "" : "; ") + value;
    else {
      if (name === "content-length") length = Number(value);
      headers.push([name, value]);
    }
  }
  // RFC 9113 §8.3.1: the two must not differ.
  if (method === "CONNECT" || (authority !== "" && host !== "" && authority !== host)) {
    return undefined;
  }
  headers.unshift(["host", authority === "" ? host : authority]);
  if (cookie !== "") headers.push(["cookie", cookie]);
  return {
    version: "2",
    method,
    target,
    headers: headers as HeaderList,
    body: endsAtOnce ? 0 : length >= 0 ? length : "chunked",
    serverName: client.serverName,
    clientAddress: client.address,
  };
}
