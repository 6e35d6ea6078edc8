/** Web requests that the edge brings: who asks, what for, and the application that answers. */

import type { Sessions } from "#access/sessions";
import type { Clock } from "#base/clock";
import { clientNetwork } from "#base/ip";
import type { LoginOutcome, Person } from "#contracts/directory";
import type { LinkStream } from "#contracts/link";
import type { WebRefusal, WebRequest } from "#contracts/web";
import { requestHead } from "#formats/http";
import type { AccountId } from "#model/mailbox";
import type { PublishingRule } from "#model/publishing";
import { type CompiledPolicy, compilePolicy } from "#proxy";
import { dialler } from "./dial.ts";
import type { PublishEvents } from "./events.ts";
import {
  fitsBasic,
  type HeaderRules,
  headerRules,
  type SignedOn,
  upstreamHeaders,
} from "./headers.ts";
import { Passage } from "./passage.ts";
import { Pool } from "./pool.ts";
import { readWebRequest } from "./request.ts";
import { ruleFor } from "./rules.ts";
import {
  type CookieSeal,
  type CookieSeals,
  cookieSeals,
  withoutSession,
} from "./session-cookies.ts";
import type { PublishedApplication } from "./settings.ts";

export { type PublishEvents, publishEvents } from "./events.ts";

export interface PublisherDeps {
  readonly applications: readonly PublishedApplication[];
  /** Names of the front; with a port they may be asked for as well. */
  readonly hosts: readonly string[];
  readonly sessions: Pick<Sessions, "touch" | "peek" | "signOn" | "revocations">;
  person(account: AccountId): Person | undefined;
  hasAppPassword(account: AccountId, id: string): boolean;
  /** For programs that know no form. */
  basic(name: string, password: string, clientAddress: string): Promise<LoginOutcome>;
  /** Answers what is asked of "postern"; called in the turn that the stream arrives in. */
  postern(stream: LinkStream, ask: WebRequest): void;
  readonly events: PublishEvents;
  readonly clock: Clock;
}

export interface Publisher extends Disposable {
  /** Takes streams of kind web; call it in the turn they arrive in. */
  handle(stream: LinkStream): void;
}

/** @throws Misconfigured when the authorities of an application cannot be read */
export function createPublisher(deps: PublisherDeps): Publisher {
  const doors = new Map(deps.applications.map((one) => [one.name, doorOf(one, deps)]));
  const seals = cookieSeals();
  return {
    handle(stream) {
      const ask = readWebRequest(stream.header);
      if (ask === undefined) return stream.abort("malformed request");
      if (ask.application === "postern") return deps.postern(stream, ask);
      const door = doors.get(ask.application);
      const rule = door && ruleFor(ask, door.policy);
      if (door === undefined || rule === undefined) {
        deps.events.refused("unknown", "not-published");
        return refuse(stream, "not-published");
      }
      deps.events.asked(ask.application);
      admit(deps, door, { stream, ask, rule, seals });
    },
    [Symbol.dispose]() {
      for (const { pool } of doors.values()) pool.close();
    },
  };
}

/** One application, ready to be asked. */
interface Door {
  readonly application: PublishedApplication;
  /** Of its rules alone. */
  readonly policy: CompiledPolicy;
  readonly headers: HeaderRules;
  readonly pool: Pool;
}

function doorOf(application: PublishedApplication, { hosts, clock }: PublisherDeps): Door {
  const { rules } = application;
  const policy = { version: 1, hosts, rules, login: { passkeys: false } };
  return {
    application,
    policy: compilePolicy(policy, () => 0),
    headers: headerRules(application),
    pool: new Pool(dialler(application), application, clock),
  };
}

interface Visit {
  readonly stream: LinkStream;
  readonly ask: WebRequest;
  readonly rule: PublishingRule;
  readonly seals: CookieSeals;
}

interface Visitor {
  /** Absent: nobody in particular. */
  readonly who?: SignedOn;
  readonly publicComputer: boolean;
  readonly cookies: CookieSeal;
  stillValid(): boolean;
}

const anybody: Visitor = {
  publicComputer: false,
  cookies: withoutSession,
  stillValid: () => true,
};

/** The rule says how somebody proves who they are; what the edge says of it is not asked. */
function admit(deps: PublisherDeps, door: Door, visit: Visit): void {
  switch (visit.rule.login) {
    case "none":
      return pass(deps, door, visit, anybody);
    case "form": {
      const visitor = inSession(deps, visit);
      if (visitor === undefined) return refuse(visit.stream, whyNot(deps, visit.ask));
      return pass(deps, door, visit, visitor);
    }
    case "basic":
      return void admitBasic(deps, door, visit);
  }
}

function inSession(
  { sessions, person }: PublisherDeps,
  { ask: { session: handle, target, application }, seals }: Visit,
): Visitor | undefined {
  if (handle === undefined) return undefined;
  // What a page asks by itself does not keep a session alive.
  const isBackground = /[?&]background=1(?:&|$)/.test(target);
  const found = isBackground ? sessions.peek(handle) : sessions.touch(handle);
  const who = found && person(found.account) && sessions.signOn(handle);
  if (found === undefined || who === undefined) return undefined;
  return {
    who,
    publicComputer: found.publicComputer,
    cookies: seals(application, handle),
    stillValid: () => sessions.peek(handle) !== undefined,
  };
}

/** Who must enrol a second factor first is signed in, and would be asked for nothing else. */
function whyNot({ sessions }: PublisherDeps, { session = "" }: WebRequest): WebRefusal {
  return sessions.peek(session, "enrolling") === undefined ? "session" : "enrol";
}

async function admitBasic(deps: PublisherDeps, door: Door, visit: Visit): Promise<void> {
  const { stream, ask } = visit;
  if (ask.basic === undefined) return refuse(stream, "credentials");
  const { name, password } = ask.basic;
  let outcome: LoginOutcome;
  try {
    outcome = await deps.basic(name, password, ask.clientAddress);
  } catch {
    return stream.abort("no answer");
  }
  if (!outcome.ok)
    return refuse(stream, outcome.reason === "refused" ? "credentials" : "slow-down");
  const { id, address } = outcome.person;
  const { appPassword } = outcome;
  const revocations = deps.sessions.revocations(id);
  pass(deps, door, visit, {
    ...anybody,
    who: { name: address, password },
    stillValid: () =>
      deps.sessions.revocations(id) === revocations &&
      deps.person(id) !== undefined &&
      (appPassword === undefined || deps.hasAppPassword(id, appPassword)),
  });
}

function pass(deps: PublisherDeps, door: Door, { stream, ask, rule }: Visit, by: Visitor): void {
  const { events } = deps;
  const { application, headers, pool } = door;
  const { name, signOn, publicDownloads } = application;
  const { who, cookies } = by;
  if (signOn === "basic" && who && (who.password === undefined || !fitsBasic(who.name))) {
    // Signed in by passkey or elsewhere: there is no password to sign on with.
    events.refused(name, "not-allowed", "no password to sign on with");
    return refuse(stream, "not-allowed", "no password");
  }
  const told = { ...ask, headers: cookies.opened(ask.headers) };
  const fields = upstreamHeaders(told, headers, who, rule.login === "none");
  const passage = new Passage(stream, ask, {
    pool,
    owner: who?.name ?? clientNetwork(ask.clientAddress),
    head: requestHead(ask.method, ask.target, fields),
    upstreamHost: headers.host,
    answerTimeoutMs: rule.answerTimeoutMs,
    publicComputer: by.publicComputer,
    cookies,
    downloads: publicDownloads,
    stillValid: by.stillValid,
    failed: (why, detail) => events.failed(name, why, detail),
  });
  passage.start();
}

function refuse(stream: LinkStream, refused: WebRefusal, why?: string): void {
  stream.answer({ refused, ...(why !== undefined && { why }) });
  stream.end();
}
