/**
 * The person's own pages ask here: how long the session lasts (`/session`), and how they sign in
 * (`/account/…`). JSON both ways; what goes wrong is a problem (RFC 9457) with a type of ours.
 */

import type { Session, Sessions } from "#access/sessions";
import type { Person } from "#contracts/directory";
import type { DirectoryAdmin, DirectoryFactors, Factor } from "#directory";
import type { AccountId } from "#model/mailbox";
import type { SelfService, SelfServiceFault, Served, Visitor } from "../login/index.ts";
import { object, type Shape, text, textThat } from "../shape.ts";
import { BodyRoom, type Exchange, wholeBody } from "./exchange.ts";

export interface AccountDeps {
  readonly sessions: Sessions;
  readonly directory: Pick<DirectoryFactors, "factors"> &
    Pick<DirectoryAdmin, "minPasswordLength"> & { person(account: AccountId): Person | undefined };
  readonly service: SelfService;
  readonly settings: { readonly requireSecondFactor: boolean };
  readonly nowMs: () => number;
}

export interface AccountAsk {
  readonly method: string;
  /** Without the first slash: "session", "account/factors". */
  readonly path: string;
  readonly handle: string;
  readonly host: string;
  readonly clientAddress: string;
  /** Of a POST: what JSON.parse gave, or undefined. */
  readonly body?: unknown;
}

export interface AccountAnswer {
  readonly status: number;
  readonly body: object;
}

interface Visit extends Visitor {
  readonly session: Session;
  readonly body: Readonly<Record<string, string>>;
}

interface Route {
  readonly shape?: Shape;
  /** Also for somebody who must enrol a second factor before anything else. */
  readonly whileEnrolling?: true;
  /** Only for who proved lately who they are. */
  readonly confirmed?: true;
  readonly act: (deps: AccountDeps, visit: Visit) => AccountAnswer | Promise<AccountAnswer>;
}

const bodyMaxBytes = 32_768;
const bodiesMaxBytes = 262_144;

const nothing = object<object>({});
const name = textThat((given) => given.trim() !== "" && given.length <= 64);
const password = text(1024);
const id = text(64);
const nameOnly = object<{ name: string }>({ name });

const routes: Readonly<Record<string, Route>> = {
  "GET session": { whileEnrolling: true, act: sessionTimes },
  "POST session/extend": { whileEnrolling: true, shape: nothing, act: sessionTimes },
  "GET account": { whileEnrolling: true, act: overview },
  "GET account/factors": {
    whileEnrolling: true,
    act: ({ directory }, { person }) => ok({ factors: shown(directory.factors(person.id)) }),
  },
  "GET account/sessions": {
    act: ({ sessions }, { person, handle }) => ok({ sessions: sessions.list(person.id, handle) }),
  },
  "POST account/confirm": {
    whileEnrolling: true,
    shape: object<{ password: string }>({ password }),
    act: async ({ service }, visit) =>
      answer(await service.confirm(visit, visit.body["password"] ?? "")),
  },
  "POST account/password": {
    shape: object<{ old: string; new: string }>({ old: password, new: password }),
    act: async ({ service }, { body, ...visit }) =>
      answer(await service.changePassword(visit, body["old"] ?? "", body["new"] ?? "")),
  },
  "POST account/totp/begin": {
    whileEnrolling: true,
    confirmed: true,
    shape: nothing,
    act: ({ service }, visit) => ok(service.beginTotp(visit)),
  },
  "POST account/totp/finish": {
    whileEnrolling: true,
    shape: object<{ name: string; code: string }>({ name, code: text(32) }),
    act: async ({ service }, { body, ...visit }) =>
      answer(await service.finishTotp(visit, body["name"] ?? "", body["code"] ?? "")),
  },
  "POST account/passkeys/begin": {
    whileEnrolling: true,
    confirmed: true,
    shape: nothing,
    act: async ({ service }, visit) =>
      ok({ options: JSON.parse(await service.beginPasskey(visit)) }),
  },
  "POST account/passkeys/finish": {
    whileEnrolling: true,
    shape: object<{ name: string; credential: string }>({ name, credential: text(16_384) }),
    act: async ({ service }, { body, ...visit }) =>
      answer(await service.finishPasskey(visit, body["name"] ?? "", body["credential"] ?? "")),
  },
  "POST account/factors/remove": {
    confirmed: true,
    shape: object<{ id: string }>({ id }),
    act: async ({ service }, visit) =>
      answer(await service.removeFactor(visit, visit.body["id"] ?? "")),
  },
  "POST account/recovery-codes": {
    confirmed: true,
    shape: nothing,
    act: async ({ service }, visit) => answer(await service.makeRecoveryCodes(visit)),
  },
  "POST account/app-passwords": {
    confirmed: true,
    shape: nameOnly,
    act: async ({ service }, visit) =>
      answer(await service.makeAppPassword(visit, visit.body["name"] ?? "")),
  },
  "POST account/sessions/end": {
    shape: object<{ id: string }>({ id }),
    act: ({ sessions }, { person, body }) =>
      sessions.revokeOne(person.id, body["id"] ?? "") ? ok({}) : problem(404, "no-such"),
  },
  "POST account/sessions/end-others": {
    shape: nothing,
    act: ({ sessions }, { person, handle }) => ok({ ended: sessions.revokeAll(person.id, handle) }),
  },
  "POST account/sessions/end-all": {
    shape: nothing,
    act: ({ sessions }, { person }) => ok({ ended: sessions.revokeAll(person.id) }),
  },
};

/** Whatever is asked for below /session and /account. */
export async function answerAccount(deps: AccountDeps, ask: AccountAsk): Promise<AccountAnswer> {
  const { sessions, directory } = deps;
  const route = Object.hasOwn(routes, `${ask.method} ${ask.path}`)
    ? routes[`${ask.method} ${ask.path}`]
    : undefined;
  // Looking how long it lasts must not make it last longer.
  const isLook = ask.method === "GET" && ask.path === "session";
  const session = isLook
    ? sessions.peek(ask.handle, "enrolling")
    : sessions.touch(ask.handle, "enrolling");
  const person = session && directory.person(session.account);
  if (session === undefined || person === undefined) return problem(401, "session");
  if (route === undefined) return problem(404, "no-such");
  if (session.enrolling && route.whileEnrolling !== true) return problem(403, "enrol");
  if (route.shape?.(ask.body) === false) return problem(400, "bad-request");
  if (route.confirmed === true && !session.isConfirmed) return problem(403, "confirm");
  const { handle, host, clientAddress } = ask;
  const { enrolling } = session;
  const body = (ask.body ?? {}) as Visit["body"];
  return route.act(deps, { person, handle, host, clientAddress, enrolling, session, body });
}

/** As the web service hears it; the session is looked for here. */
export function accountDoor(deps: AccountDeps): (exchange: Exchange) => Promise<void> {
  const room = new BodyRoom(bodiesMaxBytes);
  return async (exchange) => {
    const { method, session: handle = "", host, clientAddress } = exchange.ask;
    const path = exchange.segments.join("/");
    const ask = { method, path, handle, host, clientAddress };
    // Nothing is read for who has no session.
    if (method !== "POST" || deps.sessions.peek(handle, "enrolling") === undefined) {
      return tell(exchange, await answerAccount(deps, ask));
    }
    const octets = await wholeBody(exchange.body, bodyMaxBytes, room, handle);
    if (octets === undefined) return tell(exchange, problem(413, "too-large"));
    return tell(exchange, await answerAccount(deps, { ...ask, body: parsed(octets) }));
  };
}

function tell(exchange: Exchange, { status, body }: AccountAnswer): void {
  exchange.json(status, body);
}

function parsed(octets: Buffer): unknown {
  try {
    return JSON.parse(octets.toString("utf8"));
  } catch {
    return undefined;
  }
}

function sessionTimes({ nowMs }: AccountDeps, { session }: Visit): AccountAnswer {
  const seconds = (untilMs: number): number => Math.max(0, Math.floor((untilMs - nowMs()) / 1000));
  return ok({
    idleEndsInSeconds: seconds(session.expiresAtMs),
    absoluteEndsInSeconds: seconds(session.endsAtMs),
    publicComputer: session.publicComputer,
    mustEnrol: session.enrolling,
  });
}

function overview({ directory, settings }: AccountDeps, { person, session }: Visit): AccountAnswer {
  return ok({
    address: person.address,
    displayName: person.displayName,
    minPasswordLength: directory.minPasswordLength,
    requireSecondFactor: settings.requireSecondFactor,
    isConfirmed: session.isConfirmed,
    factors: shown(directory.factors(person.id)),
  });
}

/** Of a factor, what its owner and an administrator may see; nothing that anybody could use. */
export function shown(factors: readonly Factor[]): readonly object[] {
  return factors.map((one) => ({
    id: one.id,
    kind: one.kind,
    name: one.name,
    addedAtMs: one.addedAtMs,
    ...(one.usedAtMs !== undefined && { usedAtMs: one.usedAtMs }),
    ...(one.kind === "recovery-codes" && { left: one.digests.length }),
    ...(one.kind === "passkey" && { host: one.rpId }),
  }));
}

const statusOf: Readonly<Record<SelfServiceFault, number>> = {
  "wrong-password": 403,
  "slow-down": 429,
  busy: 503,
  "weak-password": 400,
  "wrong-code": 400,
  "bad-passkey": 400,
  "not-begun": 409,
  "no-such": 404,
  "too-many": 409,
};

function answer(served: Served<object>): AccountAnswer {
  return served.ok ? ok(served.value) : problem(statusOf[served.fault], served.fault);
}

function ok(body: object): AccountAnswer {
  return { status: 200, body };
}

function problem(status: number, what: string): AccountAnswer {
  return { status, body: { type: `urn:postern:account:${what}`, status } };
}
