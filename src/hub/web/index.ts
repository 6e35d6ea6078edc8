/** The inside's web service: answers login, logout and web streams that an edge brings. */

import type { Clock } from "#base/clock";
import { Full, Unavailable } from "#base/errors";
import type { Log } from "#base/log";
import type { Directory, Person } from "#contracts/directory";
import type { LinkStream } from "#contracts/link";
import type { WebLogin, WebLoginOutcome } from "#contracts/web";
import { type Assets, openAssets } from "./assets.ts";
import { pushEvents } from "./events.ts";
import { BodyRoom, type Exchange, exchangeOn, wholeBody } from "./exchange.ts";
import { countRemote, showMessage } from "./message-view.ts";
import type { ShownRead, WebDownload, WebJmap, WebSessions } from "./ports.ts";

export type * from "./ports.ts";

export interface WebServiceDeps {
  readonly jmap: WebJmap;
  readonly sessions: WebSessions;
  readonly directory: Pick<Directory, "login" | "person">;
  /** Who else has read the person's mail, newest first. */
  readonly reads: (person: Person) => Promise<readonly ShownRead[]>;
  readonly clock: Clock;
  readonly log: Log;
  /** Where the built application lies. */
  readonly distDirectory: string;
}

export interface WebService {
  login(login: WebLogin): Promise<WebLoginOutcome>;
  logout(session: string): void;
  /** Takes streams of kind login, logout and web; call it in the turn they arrive in. */
  handle(stream: LinkStream): void;
}

/** maxSizeRequest of RFC 8620 §2 is below this. */
const apiMaxBytes = 10_000_000;
/** Of one person: who sends many large requests slowly must not fill our memory. */
const apiBodiesMaxBytes = 40_000_000;

export function createWebService(deps: WebServiceDeps): WebService {
  const { sessions, directory, log } = deps;
  const assets = openAssets(deps.distDirectory);
  const room = new BodyRoom(apiBodiesMaxBytes);
  const service: WebService = {
    async login({ name, password, publicComputer, clientAddress }) {
      const outcome = await directory.login(name, password, "web", clientAddress);
      if (!outcome.ok) return outcome;
      const issued = sessions.issue(outcome.person.id, { publicComputer, clientAddress });
      const idleSeconds = Math.floor(issued.idleMs / 1000);
      const absoluteSeconds = Math.floor(issued.absoluteMs / 1000);
      return { ok: true, session: issued.handle, idleSeconds, absoluteSeconds };
    },
    logout: (session) => void sessions.revoke(session),
    handle(stream) {
      if (stream.kind === "web") {
        const exchange = exchangeOn(stream);
        if (exchange !== undefined)
          void guarded(exchange, log, () => serve(deps, { assets, room }, exchange));
      } else if (stream.kind === "login") void answerLogin(service, stream, log);
      else if (stream.kind === "logout") {
        const { session } = (stream.header ?? {}) as { session?: unknown };
        if (typeof session === "string") service.logout(session);
      } else stream.abort("not served here");
    },
  };
  return service;
}

async function answerLogin(service: WebService, stream: LinkStream, log: Log): Promise<void> {
  const login = webLogin(stream.header);
  if (login === undefined) return stream.abort("malformed login");
  try {
    stream.answer(await service.login(login));
    stream.end();
  } catch (error) {
    if (!(error instanceof Unavailable)) log.write("error", "web.login-failed", named(error));
    stream.abort("no answer");
  }
}

function webLogin(header: unknown): WebLogin | undefined {
  const { name, password, publicComputer, clientAddress } = (header ?? {}) as Partial<WebLogin>;
  const texts = [name, password, clientAddress];
  if (!texts.every((text) => typeof text === "string" && text.length <= 1024)) return undefined;
  if (typeof publicComputer !== "boolean") return undefined;
  return header as WebLogin;
}

/** The border of the service: what was thrown becomes a status, and nothing of it leaves. */
async function guarded(exchange: Exchange, log: Log, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Unavailable)) log.write("error", "web.request-failed", named(error));
    const status = error instanceof Full ? 507 : error instanceof Unavailable ? 503 : 500;
    try {
      exchange.json(status, { type: "about:blank", status });
    } catch {
      exchange.abort("failed in the middle of the answer");
    }
  }
}

const named = (error: unknown): { error: string } => ({
  error: error instanceof Error ? `${error.name}: ${error.message}` : "unknown",
});

/** What somebody with a session asks for, below the first segment of the path. */
interface Visit {
  readonly person: Person;
  readonly rest: readonly string[];
  readonly exchange: Exchange;
  /** Whether the session still lives; asking does not prolong it. */
  stillValid(): boolean;
}

interface Kept {
  readonly assets: Assets;
  readonly room: BodyRoom;
}

async function serve(deps: WebServiceDeps, kept: Kept, exchange: Exchange): Promise<void> {
  const handle = exchange.ask.session ?? "";
  // What the application asks by itself does not keep a session alive.
  const background = exchange.query.get("background") === "1" || exchange.segments[1] === "events";
  const look = (quietly: boolean): Person | undefined => {
    const { sessions, directory } = deps;
    const found = quietly && sessions.peek ? sessions.peek(handle) : sessions.touch(handle);
    return found && directory.person(found.account);
  };
  const person = look(background);
  if (person === undefined) return exchange.answer(401, {});
  // Without `peek` a beat would keep the session alive for ever, so it is not looked at.
  const stillValid = (): boolean => deps.sessions.peek === undefined || look(true) !== undefined;
  const [area, ...rest] = exchange.segments;
  const visit: Visit = { person, rest, exchange, stillValid };
  if (area === "mail") return serveMail(deps, kept.assets, visit);
  if (area === "jmap") return serveJmap(deps, kept.room, visit);
  if (area === ".well-known") return serveJmap(deps, kept.room, { ...visit, rest: ["session"] });
  notFound(exchange);
}

async function serveMail(
  { jmap, reads }: Pick<WebServiceDeps, "jmap" | "reads">,
  assets: Assets,
  { person, rest, exchange }: Visit,
): Promise<void> {
  const [kind, emailId = "", view] = rest;
  if (kind === "reads" && rest.length === 1) return exchange.json(200, await reads(person));
  if (kind === "message" && view === "view" && rest.length === 3) {
    return showMessage(jmap, person, emailId, exchange);
  }
  if (kind === "message" && view === "remote" && rest.length === 3) {
    const count = await countRemote(jmap, person, emailId, exchange.ask.clientAddress);
    return count === undefined ? notFound(exchange) : exchange.json(200, { count });
  }
  if (!assets.serve(rest.join("/"), exchange)) notFound(exchange);
}

async function serveJmap(
  { jmap, clock }: Pick<WebServiceDeps, "jmap" | "clock">,
  room: BodyRoom,
  { person, rest, exchange, stillValid }: Visit,
): Promise<void> {
  const [kind = "", account = "", blobId = "", name = ""] = rest;
  const { method, host, headers } = exchange.ask;
  const posted = method === "POST";
  if (kind === "session" && !posted) {
    return exchange.json(200, await jmap.session(person, `https://${host}`));
  }
  if (kind === "events" && !posted) {
    return pushEvents(jmap, person, exchange, { clock, stillValid });
  }
  if (kind === "api" && posted) {
    const body = await wholeBody(exchange.body, apiMaxBytes, room, person.id);
    if (body === undefined) return tooLarge(exchange);
    const answer = await jmap.api(person, body, exchange.ask.clientAddress);
    return exchange.json(answer.status, answer.body);
  }
  if (account !== person.id) return notFound(exchange);
  if (kind === "upload" && posted) {
    const type = headers["content-type"] ?? "application/octet-stream";
    const answer = await jmap.upload(person, account, type, exchange.body);
    return exchange.json(answer.status, answer.body);
  }
  if (kind === "download" && !posted) {
    const found = await jmap.download(person, account, blobId);
    return found === undefined ? notFound(exchange) : sendBlob(found, name, exchange);
  }
  notFound(exchange);
}

async function sendBlob(found: WebDownload, name: string, exchange: Exchange): Promise<void> {
  // Whatever it says it is, a browser saves it and shows nothing of it (W18).
  const ascii = name.replace(/[^A-Za-z0-9 ._-]/g, "_").slice(0, 120) || "attachment";
  const star = encodeURIComponent(name).replace(
    /['()*]/g,
    (one) => `%${one.charCodeAt(0).toString(16)}`,
  );
  await exchange.stream(
    200,
    {
      "content-type": "application/octet-stream",
      "content-length": String(found.sizeBytes),
      "content-disposition": `attachment; filename="${ascii}"; filename*=UTF-8''${star}`,
      "content-security-policy": "default-src 'none'; sandbox",
      "cache-control": "no-store",
    },
    found.octets,
  );
}

const notFound = (exchange: Exchange): void =>
  exchange.json(404, { type: "about:blank", status: 404 });

const tooLarge = (exchange: Exchange): void =>
  exchange.json(413, { type: "urn:ietf:params:jmap:error:limit", status: 413 });
