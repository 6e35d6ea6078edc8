/** The login door alone: judged requests in, captured answers out, an inside that a test scripts. */

import { Buffer } from "node:buffer";
import { systemClock } from "#base/clock";
import { linkPair } from "#contracts/link";
import type { HeaderList, WebLogin, WebLoginOutcome } from "#contracts/web";
import type { LoginOffer, PublishingRule } from "#model/publishing";
import { type CheckedRequest, compilePolicy, judgeRequest } from "#proxy";
import type { WebEvents } from "./events.ts";
import type { Incoming, IncomingHead } from "./incoming.ts";
import { type LoginDoor, loginDoor } from "./login.ts";

export const host = "mail.example";
export const session = "session-handle-0123456789";
export const pending = "pending-handle-0123456789";
/** What a browser says of a form of our own pages. */
export const own = { origin: `https://${host}`, "sec-fetch-site": "same-origin" };
export const navigating = { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
/** Opened by a link of another site. */
export const fromElsewhere: Readonly<Record<string, string>> = {
  ...navigating,
  "sec-fetch-site": "cross-site",
};

export const signedIn: WebLoginOutcome = {
  ...{ ok: true, session, idleSeconds: 900, absoluteSeconds: 28_800, publicComputer: false },
};

const rule = { hosts: [], methods: ["GET", "POST"], login: "form", targets: "mail" } as const;
const rules: readonly PublishingRule[] = [
  { ...rule, application: "postern", path: "/mail", targets: "plain" },
  { ...rule, application: "owa", path: "/owa" },
  { ...rule, application: "elsewhere", path: "/other", hosts: ["other.example"] },
  { ...rule, application: "sync", path: "/sync", login: "basic" },
];

export interface Answer {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: string;
  header(name: string): string | undefined;
  /** Name to the whole Set-Cookie field. */
  readonly cookies: ReadonlyMap<string, string>;
}

export interface Asking {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Cookies that the browser holds. */
  readonly cookies?: Readonly<Record<string, string>>;
  readonly clientAddress?: string;
}

export interface DoorHouse extends Disposable {
  readonly door: LoginDoor;
  /** What reached the inside, oldest first. */
  readonly seen: { readonly kind: string; readonly header: unknown }[];
  readonly outcomes: string[];
  isUp: boolean;
  offer: LoginOffer;
  /** Undefined: answers with what is no outcome. */
  answer: (login: WebLogin) => unknown;
  ask(path: string, given?: Asking): Promise<Answer>;
  logout(cookies: Readonly<Record<string, string>>, method?: "GET"): Promise<Answer>;
  /** For a published path that has no session. */
  askFor(path: string, gone: boolean, given?: Asking): Promise<Answer>;
  /** A form as our page makes it, its token in field and cookie; `fields` win. */
  send(fields: Readonly<Record<string, string>>, given?: Asking): Promise<Answer>;
}

export function openDoor(loginsPerMinute = 1000): DoorHouse {
  const links = linkPair();
  const policy = compilePolicy(
    { version: 1, hosts: [host, "other.example"], rules, login: { passkeys: false } },
    () => 443,
  );
  const judged = (path: string, given: Asking): { request: CheckedRequest; head: IncomingHead } => {
    const head = headOf(path, given);
    const limits = { headerMaxCount: 64, bodyMaxBytes: 1_000_000 };
    const found = judgeRequest(head, policy, limits);
    if (!found.ok) throw new Refusal(found.status);
    return { request: found.request, head };
  };
  const through = (
    path: string,
    given: Asking,
    to: (request: CheckedRequest, incoming: Incoming) => void,
  ): Promise<Answer> => {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    try {
      const { request, head } = judged(path, given);
      to(request, captured(head, given.body ?? "", resolve));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      resolve(answerOf(error.status, [], ""));
    }
    return promise;
  };
  const outcomes: string[] = [];
  const house: DoorHouse = {
    ...{ seen: [], outcomes, isUp: true, offer: { passkeys: false }, answer: () => signedIn },
    door: loginDoor({
      links: { forKind: () => (house.isUp ? links[0] : undefined) },
      clock: systemClock,
      events: { login: (outcome) => outcomes.push(outcome), linkDown() {} } as WebEvents & object,
      loginsPerMinute,
      offer: () => house.offer,
    }),
    ask: (path, given = {}) => through(path, given, house.door.handle),
    logout: (cookies, method) => {
      const given = { method: method ?? "POST", headers: own, cookies };
      return through("/logout", given, house.door.logout);
    },
    askFor: (path, gone, given = { headers: navigating }) =>
      through(path, given, (request, incoming) => house.door.ask(request, incoming, gone)),
    send: (fields, given = {}) => {
      const token = "form-token-0123456789";
      return house.ask("/login", {
        method: "POST",
        ...given,
        headers: {
          "content-type": "application/x-www-form-urlencoded",
          ...own,
          ...navigating,
          ...given.headers,
        },
        cookies: { "__Host-postern-form": token, ...given.cookies },
        body: new URLSearchParams({ token, ...fields }).toString(),
      });
    },
    [Symbol.dispose]() {
      for (const link of links) link.close("test over");
    },
  };
  links[1].onStream((stream) => {
    house.seen.push({ kind: stream.kind, header: stream.header });
    if (stream.kind === "login") stream.answer(house.answer(stream.header as WebLogin) as object);
  });
  return house;
}

class Refusal extends Error {
  readonly status: number;
  constructor(status: number) {
    super(String(status));
    this.status = status;
  }
}

function headOf(path: string, given: Asking): IncomingHead {
  const cookie = Object.entries(given.cookies ?? {}).map(([name, value]) => `${name}=${value}`);
  return {
    version: "1.1",
    method: given.method ?? "GET",
    target: path,
    headers: [
      ["host", host],
      ...(cookie.length > 0 ? [["cookie", cookie.join("; ")] as const] : []),
      ...Object.entries(given.headers ?? {}),
    ],
    body: Buffer.byteLength(given.body ?? ""),
    serverName: host,
    clientAddress: given.clientAddress ?? "192.0.2.7",
  };
}

function captured(head: IncomingHead, body: string, resolve: (answer: Answer) => void): Incoming {
  let answered = false;
  return {
    head,
    receive(taker) {
      if (body !== "") void taker.data(Buffer.from(body));
      taker.end();
    },
    waits() {},
    proceed() {},
    answer(status, headers, _bodyBytes, last) {
      answered = true;
      resolve(answerOf(status, headers, Buffer.from(last ?? []).toString()));
    },
    write: () => true,
    drained: async () => {},
    end() {},
    destroy() {},
    upgradable: false,
    get answered() {
      return answered;
    },
    open: true,
    onClosed() {},
  };
}

function answerOf(status: number, headers: HeaderList, body: string): Answer {
  const cookies = headers.filter(([name]) => name === "set-cookie").map(([, value]) => value);
  return {
    ...{ status, headers, body },
    header: (wanted) => headers.find(([name]) => name === wanted)?.[1],
    cookies: new Map(cookies.map((one) => [one.slice(0, one.indexOf("=")), one])),
  };
}
