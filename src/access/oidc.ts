/**
 * Login by an OpenID Connect provider: authorization code flow with PKCE (OpenID Connect Core §3.1,
 * RFC 7636). Who the provider vouches for is told by one claim; whether they have an account here,
 * the caller finds out.
 */

import {
  AuthorizationResponseError,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  type Configuration,
  type CustomFetch,
  calculatePKCECodeChallenge,
  customFetch,
  discovery,
  enableNonRepudiationChecks,
  fetchUserInfo,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
} from "openid-client";
import { Unavailable } from "#base/errors";
import { accept, type Result, refuse } from "#base/result";

export interface OidcSettings {
  /** Issuer identifier, an https URL (OpenID Connect Discovery §3). */
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Claim that holds the address. */
  readonly claim: string;
  /** How requests reach the provider; throws Unavailable when they do not. */
  readonly fetch: CustomFetch;
}

/** Stays with us while the browser is at the provider. */
export interface OidcChecks {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

/** Why nobody was let in: for the log, without anything the provider or the client said. */
export type OidcFault = "declined" | "bad-answer" | "no-address" | "not-verified";

export interface OidcProvider {
  /** @throws Unavailable when the provider does not answer as one */
  start(redirectUri: string): Promise<{ readonly location: string; readonly checks: OidcChecks }>;
  /**
   * @param query untrusted: of the redirect that came back, without "?"
   * @returns the address that the provider vouches for
   * @throws Unavailable
   */
  finish(
    redirectUri: string,
    query: string,
    checks: OidcChecks,
  ): Promise<Result<string, OidcFault>>;
}

const timeoutS = 15;
const maxAddressLength = 320;

export function oidcProvider(settings: OidcSettings): OidcProvider {
  let found: Promise<Configuration> | undefined;
  const configuration = (): Promise<Configuration> => {
    found ??= discover(settings).catch((error: unknown) => {
      found = undefined; // the next login asks again
      throw new Unavailable(`${settings.issuer} does not answer as a provider`, { cause: error });
    });
    return found;
  };
  return {
    async start(redirectUri) {
      const config = await configuration();
      const checks = {
        state: randomState(),
        nonce: randomNonce(),
        verifier: randomPKCECodeVerifier(),
      };
      const location = buildAuthorizationUrl(config, {
        redirect_uri: redirectUri,
        scope: "openid email profile",
        state: checks.state,
        nonce: checks.nonce,
        code_challenge: await calculatePKCECodeChallenge(checks.verifier),
        code_challenge_method: "S256",
      });
      return { location: location.href, checks };
    },
    async finish(redirectUri, query, checks) {
      const config = await configuration();
      try {
        return addressIn(await claimsOf(config, redirectUri, query, { ...checks, settings }));
      } catch (error) {
        if (isUnavailable(error)) throw new Unavailable(settings.issuer, { cause: error });
        return refuse(error instanceof AuthorizationResponseError ? "declined" : "bad-answer");
      }
    },
  };

  function addressIn(claims: Readonly<Record<string, unknown>>): Result<string, OidcFault> {
    const address = claims[settings.claim];
    if (typeof address !== "string" || address === "" || address.length > maxAddressLength) {
      return refuse("no-address");
    }
    // Core §5.1: without this anybody may have typed any address at the provider.
    if (settings.claim === "email" && claims["email_verified"] !== true) {
      return refuse("not-verified");
    }
    return accept(address);
  }
}

async function discover({ issuer, clientId, clientSecret, fetch }: OidcSettings) {
  const config = await discovery(new URL(issuer), clientId, clientSecret, undefined, {
    [customFetch]: fetch,
    timeout: timeoutS,
  });
  // The signature of the ID token is checked as well, not only where it came from.
  enableNonRepudiationChecks(config);
  return config;
}

/** Of the ID token, or of the provider's own page about the person where it is not there. */
async function claimsOf(
  config: Configuration,
  redirectUri: string,
  query: string,
  { state, nonce, verifier, settings }: OidcChecks & { readonly settings: OidcSettings },
): Promise<Readonly<Record<string, unknown>>> {
  const tokens = await authorizationCodeGrant(config, new URL(`${redirectUri}?${query}`), {
    expectedState: state,
    expectedNonce: nonce,
    pkceCodeVerifier: verifier,
    idTokenExpected: true,
  });
  const claims: Readonly<Record<string, unknown>> = tokens.claims() ?? {};
  const { userinfo_endpoint } = config.serverMetadata();
  if (claims[settings.claim] !== undefined || userinfo_endpoint === undefined) return claims;
  // Core §5.3.4: the subject there must be the same.
  return fetchUserInfo(config, tokens.access_token, String(claims["sub"]));
}

function isUnavailable(error: unknown): boolean {
  for (let one = error, depth = 0; one instanceof Error && depth < 5; depth += 1) {
    if (one instanceof Unavailable) return true;
    one = one.cause;
  }
  return false;
}
