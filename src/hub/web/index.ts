/** Postern's own application behind the web edge: webmail, JMAP, and what needs no login. */

import type { Clock } from "#base/clock";
import { Full, Unavailable } from "#base/errors";
import type { OpenCounts } from "#base/limits";
import type { Log } from "#base/log";
import type { Directory, Person } from "#contracts/directory";
import type { LinkStream } from "#contracts/link";
import type { WebRequest } from "#contracts/web";
import { type Assets, openAssets } from "./assets.ts";
import { anonymousBodyMaxBytes, answerAnonymous, type MailServices } from "./autoconfig.ts";
import { eventCounts, pushEvents } from "./events.ts";
import { BodyRoom, type Exchange, exchangeOn, wholeBody } from "./exchange.ts";
import { countRemote, showMessage } from "./message-view.ts";
import type { ShownRead, WebDownload, WebJmap, WebSessions } from "./ports.ts";

export type * from "./ports.ts";

export interface WebServiceDeps {
  readonly jmap: WebJmap;
  readonly sessions: WebSessions;
  readonly directory: Pick<Directory, "person">;
  /** Everything below /session and /account; it looks for the session itself. */
  readonly account: (exchange: Exchange) => Promise<void>;
  /** What mail clients are told of us. */
  readonly services: MailServices;
  /** Who else has read the person's mail, newest first. */
  readonly reads: (person: Person) => Promise<readonly ShownRead[]>;
  readonly clock: Clock;
  readonly log: Log;
  /** Where the built application lies. */
  readonly distDirectory: string;
}

export interface WebService {
  /**
   * Answers a request for "postern"; call it in the turn that the stream arrives in.
   *
   * @param ask the stream's header, as it was read
   */
  serve(stream: LinkStream, ask: WebRequest): void;
}

/** maxSizeRequest of RFC 8620 §2 is below this. */
const apiMaxBytes = 10_000_000;
/** Of one person: who sends many large requests slowly must not fill our memory. */
const apiBodiesMaxBytes = 40_000_000;

export function createWebService(deps: WebServiceDeps): WebService {
  const assets = openAssets(deps.distDirectory);
  const room = new BodyRoom(apiBodiesMaxBytes);
  const counts = eventCounts();
  return {
    serve(stream, ask) {
      const exchange = exchangeOn(stream, ask);
      if (exchange === undefined) return;
      void guarded(exchange, deps.log, () => serve(deps, { assets, room, counts }, exchange));
    },
  };
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
  /** Who waits for news. */
  readonly counts: OpenCounts;
}

async function serve(deps: WebServiceDeps, kept: Kept, exchange: Exchange): Promise<void> {
  if (exchange.ask.anonymous) return serveAnybody(deps, kept.room, exchange);
  const [area, ...rest] = exchange.segments;
  if (area === "session" || area === "account") return deps.account(exchange);
  const handle = exchange.ask.session ?? "";
  // What the application asks by itself does not keep a session alive.
  const background = exchange.query.get("background") === "1" || exchange.segments[1] === "events";
  const look = (quietly: boolean): Person | undefined => {
    const { sessions, directory } = deps;
    const found = quietly ? sessions.peek(handle) : sessions.touch(handle);
    return found && directory.person(found.account);
  };
  const person = look(background);
  if (person === undefined) return serveEnrolling(deps, kept.assets, exchange);
  const visit: Visit = { person, rest, exchange, stillValid: () => look(true) !== undefined };
  if (area === "mail") return serveMail(deps, kept.assets, visit);
  if (area === "jmap") return serveJmap(deps, kept, visit);
  if (area === ".well-known") return serveJmap(deps, kept, { ...visit, rest: ["session"] });
  notFound(exchange);
}

/** Who must enrol a second factor first gets the pages to do it on, and nothing else. */
function serveEnrolling(
  { sessions }: Pick<WebServiceDeps, "sessions">,
  assets: Assets,
  exchange: Exchange,
): void {
  if (sessions.peek(exchange.ask.session ?? "", "enrolling") === undefined) {
    return exchange.refuse("session");
  }
  const [area, ...rest] = exchange.segments;
  const isPage = area === "mail" && assets.serve(rest.join("/"), exchange);
  if (!isPage) exchange.refuse("not-allowed");
}

/** For whom it is does not matter: no session is looked at. */
async function serveAnybody(
  { services }: Pick<WebServiceDeps, "services">,
  room: BodyRoom,
  exchange: Exchange,
): Promise<void> {
  const { method, target, clientAddress } = exchange.ask;
  const octets =
    method === "POST"
      ? await wholeBody(exchange.body, anonymousBodyMaxBytes, room, clientAddress)
      : nothing;
  if (octets === undefined) return tooLarge(exchange);
  const found = answerAnonymous({ method, target, body: octets.toString("utf8") }, services);
  if (found === undefined) return notFound(exchange);
  exchange.answer(found.status, Object.fromEntries(found.headers), Buffer.from(found.body));
}

const nothing = Buffer.alloc(0);

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
  { room, counts }: Kept,
  { person, rest, exchange, stillValid }: Visit,
): Promise<void> {
  const [kind = "", account = "", blobId = "", name = ""] = rest;
  const { method, host } = exchange.ask;
  const posted = method === "POST";
  if (kind === "session" && !posted) {
    return exchange.json(200, await jmap.session(person, `https://${host}`));
  }
  if (kind === "events" && !posted) {
    return pushEvents(jmap, person, exchange, { clock, stillValid, counts });
  }
  if (kind === "api" && posted) {
    const body = await wholeBody(exchange.body, apiMaxBytes, room, person.id);
    if (body === undefined) return tooLarge(exchange);
    const answer = await jmap.api(person, body, exchange.ask.clientAddress);
    return exchange.json(answer.status, answer.body);
  }
  if (account !== person.id) return notFound(exchange);
  if (kind === "upload" && posted) {
    const type = exchange.header("content-type") ?? "application/octet-stream";
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
      "content-disposition": `attachment; filename="${ascii}"; filename*=UTF-8''${star}`,
      "content-security-policy": "default-src 'none'; sandbox",
      "cache-control": "no-store",
    },
    found.octets,
    found.sizeBytes,
  );
}

const notFound = (exchange: Exchange): void =>
  exchange.json(404, { type: "about:blank", status: 404 });

const tooLarge = (exchange: Exchange): void =>
  exchange.json(413, { type: "urn:ietf:params:jmap:error:limit", status: 413 });
