/** A publisher at one end of a link, and an edge at the other that asks as each test wants. */

import { Buffer } from "node:buffer";
import { createServer, type Server, type Socket } from "node:net";
import { systemClock } from "#base/clock";
import { Registry } from "#base/measures";
import { type LinkStream, linkPair } from "#contracts/link";
import type { HeaderList, WebRequest, WebResponse } from "#contracts/web";
import type { AccountId } from "#model/mailbox";
import type { PublishingRule } from "#model/publishing";
import { createPublisher, type PublisherDeps, publishEvents } from "./index.ts";
import { completeUpstream, type PublishedApplication, upstreamParameters } from "./settings.ts";

export const handle = "session-of-ana-0123456789";
export const publicHandle = "session-in-a-cafe-0123456789";

const everything: PublishingRule = {
  application: "app",
  hosts: [],
  path: "/",
  methods: ["GET", "HEAD", "POST", "PUT", "OPTIONS"],
  login: "form",
  targets: "mail",
  webSocket: true,
};

/** @param more keys of the settings, and rules in place of one that takes everything */
export function application(
  upstream: string,
  more: Partial<Record<keyof typeof upstreamParameters, string | number | boolean>> = {},
  rules: readonly Partial<PublishingRule>[] = [{}],
): PublishedApplication {
  const defaults = Object.fromEntries(
    Object.entries(upstreamParameters).map(([key, parameter]) => [key, parameter.default]),
  ) as Parameters<typeof completeUpstream>[1];
  return {
    ...completeUpstream("app", { ...defaults, upstream, ...more } as typeof defaults),
    rules: rules.map((rule) => ({ ...everything, ...rule })),
  };
}

export interface Answer {
  readonly answer: WebResponse;
  readonly body: Buffer;
  /** How the answer broke off, where it did. */
  readonly broken?: string;
}

export interface Edge extends Disposable {
  /** @param body given in pieces; WebRequest.body says what was announced */
  ask(more?: Partial<WebRequest>, ...body: readonly Uint8Array[]): Promise<Answer>;
  open(more?: Partial<WebRequest>, ended?: boolean): LinkStream;
  readonly log: readonly string[];
  /** Sessions that have ended. */
  readonly ended: Set<string>;
  readonly touched: string[];
}

export function edgeTo(published: PublishedApplication, more: Partial<PublisherDeps> = {}): Edge {
  const [edge, hub] = linkPair();
  const log: string[] = [];
  const ended = new Set<string>();
  const touched: string[] = [];
  const account = "ana" as AccountId;
  const sessionOf = (asked: string) =>
    (asked === handle || asked === publicHandle) && !ended.has(asked)
      ? {
          account,
          publicComputer: asked === publicHandle,
          expiresAtMs: 0,
          endsAtMs: 0,
          enrolling: false,
          isConfirmed: false,
        }
      : undefined;
  const publisher = createPublisher({
    applications: [published],
    hosts: ["mail.example.org"],
    sessions: {
      touch: (asked) => (touched.push("touch"), sessionOf(asked)),
      peek: (asked) => (touched.push("peek"), sessionOf(asked)),
      signOn: () => ({ name: "ana@example.org", password: "pä:ss" }),
      revocations: () => ended.size,
    },
    hasAppPassword: () => false,
    person: (id) => ({ id, address: "ana@example.org", displayName: "Ana" }),
    basic: async (name, password) =>
      password === "right"
        ? { ok: true, person: { id: account, address: name, displayName: "Ana" } }
        : { ok: false, reason: password === "slow" ? "slow-down" : "refused" },
    postern: (stream) => stream.abort("not here"),
    events: publishEvents(
      {
        write: (_level: string, event: string, facts: object) =>
          void log.push(`${event} ${JSON.stringify(facts)}`),
      } as Parameters<typeof publishEvents>[0],
      new Registry(),
      systemClock,
    ),
    clock: systemClock,
    ...more,
  });
  hub.onStream((stream) => publisher.handle(stream));
  const open = (asked: Partial<WebRequest> = {}, isEnded = true): LinkStream => {
    const ask = { ...request, ...asked };
    return edge.open("web", ask, isEnded ? { end: {} } : {});
  };
  return {
    log,
    ended,
    touched,
    open,
    async ask(asked = {}, ...body) {
      const stream = open(asked, body.length === 0);
      const sending = sendAll(stream, body);
      const answer = (await stream.answered) as WebResponse;
      const read = await readAll(stream);
      await sending;
      return { answer, ...read };
    },
    [Symbol.dispose]() {
      publisher[Symbol.dispose]();
      edge.close("test is over");
    },
  };
}

const request: WebRequest = {
  application: "app",
  method: "GET",
  target: "/",
  headers: [],
  body: 0,
  session: handle,
  clientAddress: "192.0.2.7",
  host: "mail.example.org",
};

async function sendAll(stream: LinkStream, body: readonly Uint8Array[]): Promise<void> {
  if (body.length === 0) return;
  try {
    for (const piece of body) if (!stream.send(piece)) await stream.drained();
    stream.end();
  } catch {
    // The answer tells.
  }
}

function readAll(stream: LinkStream): Promise<{ body: Buffer; broken?: string }> {
  const pieces: Buffer[] = [];
  return new Promise((resolve) => {
    stream.receive({
      data: (octets) => void pieces.push(Buffer.from(octets)),
      end: () => resolve({ body: Buffer.concat(pieces) }),
      broken: (broken) => resolve({ body: Buffer.concat(pieces), broken }),
    });
  });
}

export function statusOf({ answer }: Answer): number | string {
  return "refused" in answer ? answer.refused : answer.status;
}

export function headersOf({ answer }: Answer): HeaderList {
  return "refused" in answer ? [] : answer.headers;
}

/** An application that speaks octets; closed with all of its connections. */
export async function rawServer(
  onConnection: (socket: Socket, nth: number) => void,
): Promise<AsyncDisposable & { readonly url: string; readonly sockets: Set<Socket> }> {
  let count = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    count += 1;
    onConnection(socket, count);
  });
  const port = await portOf(server);
  return {
    url: `http://127.0.0.1:${port}`,
    sockets,
    [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => void server.close(() => resolve()));
    },
  };
}

export async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const at = server.address();
  return typeof at === "object" && at !== null ? at.port : 0;
}
