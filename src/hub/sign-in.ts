/** Who somebody is at the web front: sessions, logins, and what people do about both. */

import type { LoginSettings } from "#access/factors";
import { type OidcProvider, oidcProvider } from "#access/oidc";
import { createSessions, type Sessions } from "#access/sessions";
import type { Clock } from "#base/clock";
import { Misconfigured } from "#base/errors";
import { systemNet } from "#base/net";
import type { AccountId } from "#model/mailbox";
import type { Edges } from "./edges.ts";
import { dialThroughEdge } from "./egress.ts";
import { type Inside, readText } from "./inside.ts";
import {
  createLogin,
  type Login,
  type ProviderWay,
  providerFetch,
  SelfService,
} from "./login/index.ts";
import { accountDoor } from "./web/account.ts";
import type { Exchange } from "./web/exchange.ts";

export interface SignIn {
  readonly sessions: Sessions;
  readonly login: Login;
  readonly service: SelfService;
  /** Everything below /session and /account. */
  readonly account: (exchange: Exchange) => Promise<void>;
  /** Ends what an account has open or under way. */
  signOut(account: AccountId): void;
}

const minuteMs = 60_000;

/** @throws Misconfigured when the provider's settings cannot hold together */
export function startSignIn(inside: Inside, edges: Pick<Edges, "smtp">): SignIn {
  const { clock, random, log, directory, settings } = inside;
  const times = settings.login;
  const sessions = createSessions({
    clock,
    random,
    idleMs: times.idleMinutes * minuteMs,
    absoluteMs: times.absoluteHours * 60 * minuteMs,
    publicIdleMs: times.publicIdleMinutes * minuteMs,
    publicAbsoluteMs: times.publicAbsoluteMinutes * minuteMs,
    keepPasswords: settings.publish.some(({ signOn }) => signOn === "basic"),
  });
  const provider = providerOf(times, clock, (to, timeoutMs) =>
    times.oidcDirect
      ? systemNet.dial(to, timeoutMs)
      : dialThroughEdge(edges.smtp.forKind("dial"), to, timeoutMs, clock),
  );
  const login = createLogin({
    ...{ directory, sessions, settings: times, clock, random, log },
    hosts: () => settings.publishedHosts,
    ...(provider !== undefined && { provider }),
  });
  const issuer = settings.hostname;
  const service = new SelfService({ sessions, directory, login, issuer, clock, random });
  const nowMs = (): number => clock.nowMs();
  return {
    sessions,
    login,
    service,
    account: accountDoor({ sessions, directory, service, settings: times, nowMs }),
    signOut(account) {
      sessions.revokeAll(account);
      login.forget(account);
    },
  };
}

function providerOf(
  settings: LoginSettings,
  clock: Clock,
  dial: ProviderWay["dial"],
): OidcProvider | undefined {
  const { oidcIssuer: issuer, oidcClientId: clientId, oidcClaim: claim } = settings;
  if (issuer === "") return undefined;
  if (URL.parse(issuer)?.protocol !== "https:") {
    throw new Misconfigured(`login.oidcIssuer: "${issuer}" is not https`);
  }
  if (clientId === "" || settings.oidcSecretFile === "") {
    throw new Misconfigured("login.oidcIssuer needs login.oidcClientId and login.oidcSecretFile");
  }
  const { clientSecret, ...files } = providerFiles(settings);
  const way: ProviderWay = { dial, clock, ...files };
  return oidcProvider({ issuer, clientId, clientSecret, claim, fetch: providerFetch(way) });
}

/**
 * What the files hold that a provider's settings name.
 *
 * @throws Misconfigured when one cannot be read
 */
export function providerFiles(settings: LoginSettings): {
  readonly clientSecret: string;
  readonly authorities?: string;
} {
  return {
    clientSecret: fileOf(settings, "oidcSecretFile").trim(),
    ...(settings.oidcCaFile !== "" && { authorities: fileOf(settings, "oidcCaFile") }),
  };
}

function fileOf(settings: LoginSettings, key: "oidcCaFile" | "oidcSecretFile"): string {
  try {
    return readText(settings[key]);
  } catch (cause) {
    throw new Misconfigured(`login.${key}: ${settings[key]} cannot be read`, { cause });
  }
}
