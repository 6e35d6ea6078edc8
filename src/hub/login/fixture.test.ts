/** What the tests of this folder share: a directory in memory, and every step of a login. */

import assert from "node:assert/strict";
import { type LoginSettings, loginParameters, totpCode, totpStep } from "#access/factors";
import type { OidcProvider } from "#access/oidc";
import { createSessions, type Sessions } from "#access/sessions";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { seededRandom } from "#base/random";
import type { WebLoginOutcome } from "#contracts/web";
import { directoryParameters, type OpenDirectory, openDirectory } from "#directory";
import { type FakeClock, fakeClock } from "../../../tests/kit/fake-clock.ts";
import { memoryFactors, memoryPeople } from "../../../tests/kit/memory-people.ts";
import { type AccountAnswer, type AccountDeps, answerAccount } from "../web/account.ts";
import { createLogin, type Login, SelfService } from "./index.ts";

export const host = "mail.example.org";
export const password = "correct horse";
export const ana = "ana@example.org";
export const from: { readonly clientAddress: string; readonly host: string } = {
  clientAddress: "192.0.2.1",
  host,
};

export interface HouseOptions {
  readonly settings?: Partial<LoginSettings>;
  readonly limits?: object;
  readonly provider?: OidcProvider;
  readonly keepPasswords?: boolean;
  /** Argon2id for real. */
  readonly isReal?: boolean;
}

export interface House {
  readonly clock: FakeClock;
  readonly directory: OpenDirectory;
  readonly sessions: Sessions;
  readonly login: Login;
  readonly account: AccountDeps;
  /** Id of Ana's account. */
  readonly id: string;
  enter(publicComputer?: boolean, given?: string, name?: string): Promise<WebLoginOutcome>;
  code(pending: string, code: string): Promise<WebLoginOutcome>;
  ask(handle: string, path: string, body?: unknown): Promise<AccountAnswer>;
  /** Enrols an authenticator app by the pages' own way. */
  enrol(handle: string): Promise<{ readonly secret: Buffer; readonly recoveryCodes: string[] }>;
}

export async function openHouse(options: HouseOptions = {}): Promise<House> {
  const { keepPasswords = false, provider, isReal = false } = options;
  const settings = { ...defaultsOf(loginParameters), ...options.settings };
  const [clock, random, log] = [fakeClock(), seededRandom(9), silentLog];
  const directory = await openDirectory({
    ...{ people: memoryPeople(), factors: memoryFactors(), clock, random, log },
    registry: new Registry(),
    limits: { ...defaultsOf(directoryParameters), ...options.limits },
    needsSecondFactor: settings.requireSecondFactor,
    ...(!isReal && {
      derive: async (given: string, salt: Buffer, _cost: object, tagBytes: number) =>
        Buffer.alloc(tagBytes, `${given}\0${salt.toString("hex")}`),
    }),
  });
  await directory.addDomain("example.org", "test");
  const made = await directory.addAccount({ address: ana, displayName: "Ana", password }, "test");
  assert.ok(made.ok);
  const times = { idleMs: 900_000, absoluteMs: 28_800_000 };
  const publicTimes = { publicIdleMs: 600_000, publicAbsoluteMs: 3_600_000 };
  const sessions = createSessions({ clock, random, ...times, ...publicTimes, keepPasswords });
  const login = createLogin({
    ...{ directory, sessions, settings, clock, random, log, hosts: () => [host] },
    ...(provider !== undefined && { provider }),
  });
  const service = new SelfService({ sessions, directory, login, issuer: host, clock, random });
  const nowMs = (): number => clock.nowMs();
  const account: AccountDeps = { sessions, directory, service, settings, nowMs };
  const house: House = {
    ...{ clock, directory, sessions, login, account, id: made.value.id },
    enter: (publicComputer = false, given = password, name = ana) =>
      login.step({ step: "password", name, password: given, publicComputer, ...from }),
    code: (pending, code) => login.step({ step: "code", pending, code, ...from }),
    ask(handle, path, body) {
      const method = body === undefined ? "GET" : "POST";
      return answerAccount(account, { method, path, handle, ...from, body });
    },
    async enrol(handle) {
      const begun = await house.ask(handle, "account/totp/begin", {});
      const { secret: text } = begun.body as { secret: string };
      const secret = fromBase32(text);
      const code = totpCode(secret, totpStep(clock.nowMs()));
      const done = await house.ask(handle, "account/totp/finish", { name: "phone", code });
      assert.equal(done.status, 200, JSON.stringify(done));
      const { recoveryCodes = [] } = done.body as { recoveryCodes?: string[] };
      return { secret, recoveryCodes };
    },
  };
  return house;
}

export function fromBase32(text: string): Buffer {
  const bits = text
    .split("")
    .map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter))
    .map((value) => value.toString(2).padStart(5, "0"))
    .join("");
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((octet) => Number.parseInt(octet, 2)));
}

/** The session of a login that went well. */
export function handleOf(outcome: WebLoginOutcome): string {
  assert.ok(outcome.ok, JSON.stringify(outcome));
  return outcome.session;
}

/** What waits for the second factor. */
export function pendingOf(outcome: WebLoginOutcome): string {
  assert.ok(!outcome.ok && "pending" in outcome, JSON.stringify(outcome));
  return outcome.pending;
}

export function reasonOf(outcome: WebLoginOutcome): string {
  return outcome.ok ? "ok" : outcome.reason;
}
