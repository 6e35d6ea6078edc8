/** An edge's web service on loopback, with an inside that answers as each test wants. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { systemClock } from "#base/clock";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { type LinkStream, linkPair } from "#contracts/link";
import type { WebLogin, WebRequest } from "#contracts/web";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { type EdgeWeb, startEdgeWeb } from "./index.ts";

export const session = "session-handle-0123456789";
export const cookie = { cookie: `__Host-postern=${session}` };
/** What a browser says of a form or a call of our own pages. */
export const own = { origin: "https://mail.example", "sec-fetch-site": "same-origin" };

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
}

export interface Asking {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

export interface House extends AsyncDisposable {
  readonly edge: EdgeWeb;
  /** Streams that reached the inside, oldest first. */
  readonly seen: { readonly kind: string; readonly header: unknown }[];
  /** Whether there is a link. */
  isUp: boolean;
  /** Replaced by a test that needs another answer. */
  answerWeb: (stream: LinkStream, ask: WebRequest) => void;
  ask(path: string, given?: Asking): Promise<Answer>;
  /** Writes octets as they are and returns everything that comes back until the connection ends. */
  raw(text: string): Promise<string>;
  /** Fetches the form and sends it in, with these fields over good ones. */
  logIn(fields: Record<string, string>, headers?: Record<string, string>): Promise<Answer>;
}

export function answerPlainly(stream: LinkStream, ask: WebRequest): void {
  stream.receive({ data() {}, end() {}, broken() {} });
  stream.answer({ status: 200, headers: { "content-type": "text/plain" } });
  stream.send(Buffer.from(`you asked ${ask.target}`));
  stream.end();
}

export async function openHouse(): Promise<House> {
  const directory = mkdtempSync(join(tmpdir(), "postern-web-"));
  const tls = { keyFile: join(directory, "key.pem"), certFile: join(directory, "cert.pem") };
  const { key, cert } = selfSigned("mail.example");
  writeFileSync(tls.keyFile, key, { mode: 0o600 });
  writeFileSync(tls.certFile, cert);
  const links = linkPair();
  const edge = await startEdgeWeb(
    {
      listen: { host: "127.0.0.1", port: 0 },
      redirectListen: { host: "127.0.0.1", port: 0 },
      publishedHosts: ["mail.example"],
      tls,
      limits: { answerTimeoutMs: 1000, loginsPerMinute: 200 },
    },
    {
      links: { forKind: () => (house.isUp ? links[0] : undefined) },
      clock: systemClock,
      log: silentLog,
      registry: new Registry(),
    },
  );
  const { port } = edge.endpoint;
  const house: House = {
    edge,
    seen: [],
    isUp: true,
    answerWeb: answerPlainly,
    ask: (path, given = {}) => ask(port, path, given),
    raw: (text) => raw(port, text),
    logIn: (fields, headers = own) => logIn(port, fields, headers),
    async [Symbol.asyncDispose]() {
      await edge[Symbol.asyncDispose]();
      for (const link of links) link.close("test over");
      rmSync(directory, { recursive: true });
    },
  };
  links[1].onStream((stream) => inside(house, stream));
  return house;
}

function inside(house: House, stream: LinkStream): void {
  house.seen.push({ kind: stream.kind, header: stream.header });
  if (stream.kind === "login") {
    const { password } = stream.header as WebLogin;
    const ok = { ok: true, session, idleSeconds: 900, absoluteSeconds: 28_800 };
    stream.answer(password === "right" ? ok : { ok: false, reason: "refused" });
  }
  if (stream.kind === "web") house.answerWeb(stream, stream.header as WebRequest);
}

function ask(port: number, path: string, given: Asking): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { body } = given;
    const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
    const out = request(
      {
        host: "127.0.0.1",
        port,
        servername: "mail.example",
        path,
        method: given.method ?? "GET",
        rejectUnauthorized: false,
        agent: false,
        headers: { host: "mail.example", ...length, ...given.headers },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString(),
          }),
        );
      },
    );
    out.on("error", reject);
    out.end(body);
  });
}

function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({
      host: "127.0.0.1",
      port,
      servername: "mail.example",
      rejectUnauthorized: false,
    });
    let got = "";
    socket.setTimeout(700, () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      got += chunk.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(got));
    socket.write(Buffer.from(text, "latin1"));
  });
}

async function formToken(port: number): Promise<{ token: string; cookie: string }> {
  const page = await ask(port, "/login", {});
  const set = String(page.headers["set-cookie"]);
  const token = /name="token" value="([^"]+)"/.exec(page.body)?.[1] ?? "";
  return { token, cookie: set.split(";")[0] ?? "" };
}

async function logIn(
  port: number,
  fields: Record<string, string>,
  headers: Record<string, string>,
): Promise<Answer> {
  const form = await formToken(port);
  return ask(port, "/login", {
    method: "POST",
    headers: {
      "content-type": "application/x-www-form-urlencoded",
      cookie: form.cookie,
      ...headers,
    },
    body: new URLSearchParams({ token: form.token, name: "ana@example", ...fields }).toString(),
  });
}
