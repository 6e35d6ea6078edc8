/** The steps of a login; what each answers says nothing of who has an account here. */

import { type LoginSettings, requestOptions } from "#access/factors";
import type { OidcChecks, OidcProvider } from "#access/oidc";
import { PasswordSeal, type Sessions } from "#access/sessions";
import type { Clock } from "#base/clock";
import { Unavailable } from "#base/errors";
import type { Log } from "#base/log";
import type { Random } from "#base/random";
import type { Directory, LoginOutcome, Person } from "#contracts/directory";
import type { LinkStream } from "#contracts/link";
import type { WebLogin, WebLoginOutcome } from "#contracts/web";
import { type DirectoryFactors, hasSecondFactor } from "#directory";
import type { AccountId } from "#model/mailbox";
import { askable, passkeysAt, useCode, usePasskey } from "./factors.ts";
import { type Pending, PendingLogins } from "./pending.ts";
import { readLogin } from "./read.ts";

export interface LoginDeps {
  readonly directory: Pick<Directory, "person" | "personByAddress"> &
    Pick<DirectoryFactors, "login" | "factors" | "changeFactors" | "tryCode">;
  readonly sessions: Sessions;
  readonly settings: Pick<LoginSettings, "requireSecondFactor">;
  /** Without a port or with it: passkeys and returns of the provider belong to these alone. */
  readonly hosts: () => readonly string[];
  /** Absent: nobody logs in by OpenID Connect. */
  readonly provider?: OidcProvider;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface Login {
  /** Takes streams of kind login and logout; call it in the turn they arrive in. */
  handle(stream: LinkStream): void;
  /** One step; what an edge sent must have been read by `readLogin`. */
  step(login: WebLogin): Promise<WebLoginOutcome>;
  /** For programs that know no form. A right password is recognised for some minutes by itself. */
  basic(name: string, password: string, clientAddress: string): Promise<LoginOutcome>;
  /** Ends what an account has under way: its password or its factors changed. */
  forget(account: AccountId): void;
}

export function createLogin(deps: LoginDeps): Login {
  return new Logins(deps);
}

/** The password was right. */
interface SecondFacts {
  readonly account: AccountId;
  readonly password: Buffer | undefined;
  challenge?: Buffer | undefined;
}

type AnonymousFacts =
  | { readonly kind: "passkey"; readonly challenge: Buffer }
  | { readonly kind: "oidc"; readonly checks: OidcChecks };

type Step<Name extends WebLogin["step"]> = Extract<WebLogin, { readonly step: Name }>;

const refused = { ok: false, reason: "refused" } as const;
const slowDown = { ok: false, reason: "slow-down" } as const;
const busy = { ok: false, reason: "busy" } as const;

const challengeBytes = 32;

class Logins implements Login {
  readonly #deps: LoginDeps;
  readonly #seconds: PendingLogins<SecondFacts>;
  readonly #anonymous: PendingLogins<AnonymousFacts>;
  readonly #passwords: PasswordSeal;

  constructor(deps: LoginDeps) {
    this.#deps = deps;
    this.#seconds = new PendingLogins(deps.clock, deps.random);
    this.#anonymous = new PendingLogins(deps.clock, deps.random);
    this.#passwords = new PasswordSeal(deps.random);
  }

  handle(stream: LinkStream): void {
    if (stream.kind === "logout") {
      const { session } = (stream.header ?? {}) as { session?: unknown };
      if (typeof session === "string") this.#deps.sessions.revoke(session);
      return;
    }
    const login = stream.kind === "login" ? readLogin(stream.header) : undefined;
    if (login === undefined) return stream.abort("malformed login");
    this.step(login).then(
      (outcome) => {
        stream.answer(outcome);
        stream.end();
      },
      (error: unknown) => {
        if (!(error instanceof Unavailable)) {
          this.#deps.log.write("error", "login.failed", { error: String(error) });
        }
        stream.abort("no answer");
      },
    );
  }

  basic(name: string, password: string, clientAddress: string): Promise<LoginOutcome> {
    return this.#deps.directory.login(name, password, "basic", clientAddress);
  }

  forget(account: AccountId): void {
    this.#seconds.endWhere((facts) => facts.account === account);
  }

  step(login: WebLogin): Promise<WebLoginOutcome> {
    switch (login.step) {
      case "password":
        return this.#password(login);
      case "code":
        return this.#code(login);
      case "passkey-challenge":
        return this.#challenge(login);
      case "passkey":
        return this.#passkey(login);
      case "oidc-start":
        return this.#oidcStart(login);
      case "oidc":
        return this.#oidc(login);
    }
  }

  async #password(login: Step<"password">): Promise<WebLoginOutcome> {
    const { name, password, clientAddress, host, publicComputer } = login;
    const { directory, settings, sessions } = this.#deps;
    const outcome = await directory.login(name, password, "web", clientAddress);
    if (!outcome.ok) return outcome;
    const { person } = outcome;
    const own = directory.factors(person.id);
    if (!hasSecondFactor(own)) {
      const enrolling = settings.requireSecondFactor;
      return this.#welcome(person, { ...login, password, enrolling });
    }
    const factors = askable(own, { host });
    if (factors.length === 0) return refused;
    const pending = this.#seconds.handle();
    const sealed = sessions.keepsPasswords ? this.#passwords.seal(password, pending) : undefined;
    const facts = { account: person.id, password: sealed };
    // By address, too: who knows the password must not push out what its owner has under way.
    const owner = `${person.id} ${clientAddress}`;
    const isAdded = this.#seconds.add(pending, owner, { host, publicComputer, facts });
    return isAdded ? { ok: false, reason: "second-factor", pending, factors } : busy;
  }

  async #code({ pending, code, clientAddress, host }: Step<"code">): Promise<WebLoginOutcome> {
    const { directory, clock } = this.#deps;
    const one = this.#seconds.try(pending, host);
    if (one === undefined) return refused;
    const { account } = one.facts;
    const outcome = await directory.tryCode(account, clientAddress, () =>
      useCode(directory, account, code, clock.nowMs()),
    );
    if (outcome === "slow-down") return slowDown;
    if (outcome === "wrong") return this.#again(pending, host);
    return this.#secondWelcome(pending, one, clientAddress);
  }

  async #challenge(login: Step<"passkey-challenge">): Promise<WebLoginOutcome> {
    const { host, publicComputer, clientAddress } = login;
    if (!this.#isOurs(host)) return refused;
    const challenge = this.#deps.random.bytes(challengeBytes);
    if (login.pending === undefined) {
      const pending = this.#anonymous.handle();
      const facts = { kind: "passkey", challenge } as const;
      const isAdded = this.#anonymous.add(pending, clientAddress, { host, publicComputer, facts });
      if (!isAdded) return busy;
      const options = await requestOptions({ host }, challenge, []);
      return { ok: false, reason: "challenge", pending, options };
    }
    const one = this.#seconds.peek(login.pending, host);
    if (one === undefined) return refused;
    const known = passkeysAt(this.#deps.directory.factors(one.facts.account), { host });
    if (known.length === 0) return refused;
    one.facts.challenge = challenge;
    const options = await requestOptions({ host }, challenge, known);
    return { ok: false, reason: "challenge", pending: login.pending, options };
  }

  async #passkey(login: Step<"passkey">): Promise<WebLoginOutcome> {
    const { pending, credential, host, clientAddress } = login;
    const { directory, clock } = this.#deps;
    const second = this.#seconds.try(pending, host);
    if (second !== undefined) {
      const { account, challenge } = second.facts;
      second.facts.challenge = undefined; // whatever comes of it
      if (challenge === undefined) return refused;
      const answer = { challenge, credential, account, host };
      const found = await usePasskey(directory, answer, clock.nowMs());
      if (found === undefined) return this.#again(pending, host);
      return this.#secondWelcome(pending, second, clientAddress);
    }
    const one = this.#anonymous.peek(pending, host);
    if (one?.facts.kind !== "passkey" || !this.#anonymous.finish(pending, one)) return refused;
    const { challenge } = one.facts;
    const found = await usePasskey(directory, { challenge, credential, host }, clock.nowMs());
    const person = found === undefined ? undefined : directory.person(found);
    return person === undefined ? refused : this.#welcome(person, { ...one, clientAddress });
  }

  /** Asks for the second factor again while there are tries left. */
  #again(pending: string, host: string): WebLoginOutcome {
    const one = this.#seconds.peek(pending, host);
    if (one === undefined) return refused;
    const factors = askable(this.#deps.directory.factors(one.facts.account), { host });
    if (factors.length === 0) return refused;
    return { ok: false, reason: "second-factor", pending, factors };
  }

  async #oidcStart(login: Step<"oidc-start">): Promise<WebLoginOutcome> {
    const { host, publicComputer, clientAddress } = login;
    const { provider } = this.#deps;
    if (provider === undefined || !this.#isOurs(host)) return refused;
    const started = await this.#asked(() => provider.start(returnAddress(host)));
    if (started === undefined) return busy;
    const { location, checks } = started;
    const pending = this.#anonymous.handle();
    const facts = { kind: "oidc", checks } as const;
    const isAdded = this.#anonymous.add(pending, clientAddress, { host, publicComputer, facts });
    return isAdded ? { ok: false, reason: "redirect", pending, location } : busy;
  }

  async #oidc({ pending, query, host, clientAddress }: Step<"oidc">): Promise<WebLoginOutcome> {
    const { provider, directory, log } = this.#deps;
    const one = this.#anonymous.peek(pending, host);
    if (provider === undefined || one?.facts.kind !== "oidc") return refused;
    if (!this.#anonymous.finish(pending, one)) return refused;
    const { checks } = one.facts;
    const found = await this.#asked(() => provider.finish(returnAddress(host), query, checks));
    if (found === undefined) return busy;
    if (!found.ok) {
      log.write("warn", "login.oidc-refused", { why: found.fault });
      return refused;
    }
    const person = directory.personByAddress(found.value);
    return person === undefined ? refused : this.#welcome(person, { ...one, clientAddress });
  }

  /** @returns undefined when the provider did not answer */
  async #asked<Value>(ask: () => Promise<Value>): Promise<Value | undefined> {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      this.#deps.log.write("warn", "login.oidc-unavailable", { why: error.message });
      return undefined;
    }
  }

  #secondWelcome(
    handle: string,
    one: Pending<SecondFacts>,
    clientAddress: string,
  ): WebLoginOutcome {
    const person = this.#deps.directory.person(one.facts.account);
    if (person === undefined || !this.#seconds.finish(handle, one)) return refused;
    const sealed = one.facts.password;
    const password = sealed && this.#passwords.open(sealed, handle);
    sealed?.fill(0);
    return this.#welcome(person, { ...one, clientAddress, ...(password && { password }) });
  }

  #welcome(person: Person, known: Known): WebLoginOutcome {
    const { publicComputer, clientAddress, password, enrolling = false } = known;
    const name = person.address;
    const issued = this.#deps.sessions.issue(person.id, {
      publicComputer,
      clientAddress,
      enrolling,
      signOn: { name, ...(password !== undefined && { password }) },
    });
    return {
      ok: true,
      session: issued.handle,
      idleSeconds: Math.floor(issued.idleMs / 1000),
      absoluteSeconds: Math.floor(issued.absoluteMs / 1000),
      publicComputer,
    };
  }

  #isOurs(host: string): boolean {
    const hosts = this.#deps.hosts();
    return hosts.includes(host) || hosts.includes(host.replace(/:\d{1,5}$/, ""));
  }
}

interface Known {
  readonly publicComputer: boolean;
  readonly clientAddress: string;
  readonly password?: string;
  readonly enrolling?: boolean;
}

/** Where the provider sends the browser back to, as it was registered there. */
function returnAddress(host: string): string {
  return `https://${host}/login/oidc`;
}
