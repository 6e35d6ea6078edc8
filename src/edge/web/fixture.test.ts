/** An edge's web service on loopback, with an inside that answers as each test wants. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { type Clock, systemClock } from "#base/clock";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { type Link, type LinkStream, linkPair, type MuxOptions } from "#contracts/link";
import type { WebLogin, WebRequest } from "#contracts/web";
import type { PublishingRule, WebPolicy } from "#model/publishing";
import { posternRules } from "#proxy";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { webPolicySigner } from "../../../tests/kit/web-policy.ts";
import { type EdgeWeb, type EdgeWebSettings, startEdgeWeb } from "./index.ts";

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

/** Beside Postern: an application behind the form, one for programs, one for everybody. */
const published = { hosts: [], methods: ["GET", "HEAD", "POST", "PUT"], targets: "mail" } as const;
const applicationRules: readonly PublishingRule[] = [
  { ...published, application: "wiki", path: "/wiki", login: "form", webSocket: true },
  { ...published, application: "sync", path: "/sync", login: "basic" },
  {
    ...{ ...published, application: "sync", path: "/sync/ping", login: "none" },
    answerTimeoutMs: 3_600_000,
  },
  { ...published, application: "open", path: "/open", login: "none", bodyMaxBytes: 1_000_000 },
];

export interface Exchanged {
  readonly text: string;
  readonly endedByServer: boolean;
}

export interface House extends AsyncDisposable {
  readonly edge: EdgeWeb;
  /** The inside's end of the link. */
  readonly inside: Link;
  readonly registry: Registry;
  /** PEM files of the certificate. */
  readonly tls: { readonly keyFile: string; readonly certFile: string };
  /** Streams that reached the inside, oldest first. */
  readonly seen: { readonly kind: string; readonly header: unknown }[];
  /** Whether there is a link. */
  isUp: boolean;
  /** Replaced by a test that needs another answer. */
  answerWeb: (stream: LinkStream, ask: WebRequest) => void;
  ask(path: string, given?: Asking): Promise<Answer>;
  /** Writes octets as they are and returns everything that comes back until the connection ends. */
  raw(text: string): Promise<string>;
  /** The same, and who ended the connection; several texts go out as writes of their own. */
  exchange(text: string | readonly string[]): Promise<Exchanged>;
  /** Sends the rest once something was answered to the first. */
  late(first: string, rest: string): Promise<Exchanged>;
  /** Fetches the form and sends it in, with these fields over good ones. */
  logIn(fields: Record<string, string>, headers?: Record<string, string>): Promise<Answer>;
}

export function answerPlainly(stream: LinkStream, ask: WebRequest): void {
  stream.receive({ data() {}, end() {}, broken() {} });
  stream.answer({ status: 200, headers: [["content-type", "text/plain"]] });
  stream.send(Buffer.from(`you asked ${ask.target}`));
  stream.end();
}

export interface HouseOptions {
  readonly limits?: Readonly<Record<string, unknown>>;
  readonly settings?: Partial<EdgeWebSettings>;
  readonly clock?: Clock;
  /** False: the inside has told nothing yet. */
  readonly policy?: false;
  /** Of both ends of the link. */
  readonly mux?: Partial<MuxOptions>;
}

const signer = webPolicySigner();

const testPolicy: WebPolicy = {
  version: 1,
  hosts: ["mail.example"],
  rules: [...posternRules([]), ...applicationRules],
  login: { passkeys: false },
};

export async function openHouse(options: HouseOptions = {}): Promise<House> {
  const directory = mkdtempSync(join(tmpdir(), "postern-web-"));
  const tls = { keyFile: join(directory, "key.pem"), certFile: join(directory, "cert.pem") };
  const { key, cert } = selfSigned("mail.example", 90);
  writeFileSync(tls.keyFile, key, { mode: 0o600 });
  writeFileSync(tls.certFile, cert);
  const links = linkPair(options.mux);
  const registry = new Registry();
  const edge = await startEdgeWeb(
    {
      listen: { host: "127.0.0.1", port: 0 },
      redirectListen: { host: "127.0.0.1", port: 0 },
      publishedHosts: ["mail.example"],
      tls,
      policyPublicKey: signer.policyPublicKey,
      limits: { answerTimeoutMs: 1000, loginsPerMinute: 200, ...options.limits },
      ...options.settings,
    },
    {
      links: {
        forKind: () => (house.isUp ? links[0] : undefined),
        onStream: (handler) => links[0].onStream((stream) => handler(stream, links[0])),
      },
      clock: options.clock ?? systemClock,
      log: silentLog,
      registry,
    },
  );
  const { port } = edge.endpoint;
  const house: House = {
    edge,
    inside: links[1],
    registry,
    tls,
    seen: [],
    isUp: true,
    answerWeb: answerPlainly,
    ask: (path, given = {}) => ask(port, path, given),
    raw: async (text) => (await exchange(port, text)).text,
    exchange: (text) => exchange(port, text),
    late: (first, rest) => exchange(port, first, rest),
    logIn: (fields, headers = own) => logIn(port, fields, headers),
    async [Symbol.asyncDispose]() {
      await edge[Symbol.asyncDispose]();
      for (const link of links) link.close("test over");
      rmSync(directory, { recursive: true });
    },
  };
  links[1].onStream((stream) => inside(house, stream));
  if (options.policy !== false) await signer.tell(links[1], testPolicy);
  return house;
}

function inside(house: House, stream: LinkStream): void {
  house.seen.push({ kind: stream.kind, header: stream.header });
  if (stream.kind === "login") {
    const login = stream.header as WebLogin;
    const right = login.step === "password" && login.password === "right";
    const ok = { session, idleSeconds: 900, absoluteSeconds: 28_800, publicComputer: true };
    stream.answer(right ? { ok: true, ...ok } : { ok: false, reason: "refused" });
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

function exchange(port: number, text: string | readonly string[], rest = ""): Promise<Exchanged> {
  return new Promise((resolve) => {
    const socket = connect({
      host: "127.0.0.1",
      port,
      servername: "mail.example",
      rejectUnauthorized: false,
    });
    let got = "";
    let endedByServer = false;
    socket.setTimeout(700, () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      got += chunk.toString("latin1");
    });
    if (rest !== "") {
      socket.setTimeout(1500);
      // At the latest after a moment: some wait for the body before they answer.
      const send = (): void => void socket.write(rest);
      const timer = setTimeout(send, 300);
      socket.once("data", () => {
        clearTimeout(timer);
        send();
      });
    }
    socket.on("end", () => {
      endedByServer = true;
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve({ text: got, endedByServer }));
    socket.setNoDelay(true);
    for (const piece of [text].flat()) socket.write(Buffer.from(piece, "latin1"));
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
