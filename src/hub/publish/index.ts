/** Web requests that the edge brings: who asks, what for, and the application that answers. */

import type { Sessions } from "#access/sessions";
import type { Clock } from "#base/clock";
import type { LoginOutcome, Person } from "#contracts/directory";
import type { LinkStream } from "#contracts/link";
import type { WebRefusal, WebRequest } from "#contracts/web";
import { requestHead } from "#formats/http";
import type { AccountId } from "#model/mailbox";
import type { PublishingRule } from "#model/publishing";
import { type Dial, dialler } from "./dial.ts";
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
import { ranked, ruleFor } from "./rules.ts";
import type { PublishedUpstream } from "./settings.ts";

export { type PublishEvents, publishEvents } from "./events.ts";

export interface Published extends PublishedUpstream {
  readonly rules: readonly PublishingRule[];
}

export interface PublisherDeps {
  readonly applications: readonly Published[];
  /** Names of the front; with a port they may be asked for as well. */
  readonly hosts: readonly string[];
  readonly sessions: Pick<Sessions, "touch" | "peek" | "signOn">;
  person(account: AccountId): Person | undefined;
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
  const doors = new Map(
    deps.applications.map((one) => [one.name, doorOf(one, dialler(one), deps.clock)]),
  );
  const hosts = new Set(deps.hosts);
  return {
    handle(stream) {
      const ask = readWebRequest(stream.header);
      if (ask === undefined) return stream.abort("malformed request");
      if (ask.application === "postern") return deps.postern(stream, ask);
      const door = doors.get(ask.application);
      const isOurs = hosts.has(ask.host) || hosts.has(ask.host.replace(/:\d{1,5}$/, ""));
      const rule = door && isOurs ? ruleFor(ask, door.rules) : undefined;
      if (door === undefined || rule === undefined) {
        deps.events.refused("unknown", "not-published");
        return refuse(stream, "not-published");
      }
      deps.events.asked(ask.application);
      admit(deps, door, { stream, ask, rule });
    },
    [Symbol.dispose]() {
      for (const { pool } of doors.values()) pool.close();
    },
  };
}

/** One application, ready to be asked. */
interface Door {
  readonly application: Published;
  /** Ranked. */
  readonly rules: readonly PublishingRule[];
  readonly headers: HeaderRules;
  readonly pool: Pool;
}

function doorOf(application: Published, dial: Dial, clock: Clock): Door {
  return {
    application,
    rules: ranked(application.rules),
    headers: headerRules(application),
    pool: new Pool(dial, application, clock),
  };
}

interface Visit {
  readonly stream: LinkStream;
  readonly ask: WebRequest;
  readonly rule: PublishingRule;
}

interface Visitor {
  /** Absent: nobody in particular. */
  readonly who?: SignedOn;
  readonly publicComputer: boolean;
  stillValid(): boolean;
}

const anybody: Visitor = { publicComputer: false, stillValid: () => true };

/** The rule says how somebody proves who they are; what the edge says of it is not asked. */
function admit(deps: PublisherDeps, door: Door, visit: Visit): void {
  switch (visit.rule.login) {
    case "none":
      return pass(deps, door, visit, anybody);
    case "form": {
      const visitor = inSession(deps, visit.ask);
      if (visitor === undefined) return refuse(visit.stream, "session");
      return pass(deps, door, visit, visitor);
    }
    case "basic":
      return void admitBasic(deps, door, visit);
  }
}

function inSession(
  { sessions, person }: PublisherDeps,
  { session: handle, target }: WebRequest,
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
    stillValid: () => sessions.peek(handle) !== undefined,
  };
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
  const who = { name: outcome.person.address, password };
  pass(deps, door, visit, { who, publicComputer: false, stillValid: () => true });
}

function pass(deps: PublisherDeps, door: Door, { stream, ask, rule }: Visit, by: Visitor): void {
  const { events } = deps;
  const { application, headers, pool } = door;
  const { name, signOn, publicDownloads } = application;
  const { who } = by;
  if (signOn === "basic" && who && (who.password === undefined || !fitsBasic(who.name))) {
    // Signed in by passkey or elsewhere: there is no password to sign on with.
    events.refused(name, "not-allowed", "no password to sign on with");
    return refuse(stream, "not-allowed", "no password");
  }
  const fields = upstreamHeaders(ask, headers, who, rule.login === "none");
  const passage = new Passage(stream, ask, {
    pool,
    head: requestHead(ask.method, ask.target, fields),
    publicComputer: by.publicComputer,
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
