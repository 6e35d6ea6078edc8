/** Passkeys (WebAuthn Level 3): options for the browser, and what it sends back, checked. */

import {
  generateAuthenticationOptions,
  generateRegistrationOptions,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from "@simplewebauthn/server";
import { decodeAttestationObject } from "@simplewebauthn/server/helpers";
import { accept, type Result, refuse } from "#base/result";

/** Where a passkey belongs: the host of the page, without its port, is the relying party's id. */
export interface PasskeyPlace {
  /** As the browser named it, with its port where it is not 443. */
  readonly host: string;
}

/** What is kept of a passkey. */
export interface PasskeyFacts {
  readonly credentialId: string;
  /** COSE_Key (RFC 9052 §7), base64url. */
  readonly publicKey: string;
  readonly counter: number;
  readonly transports: readonly string[];
  /** Host it was made for: it works nowhere else. */
  readonly rpId: string;
}

export interface PasskeyPerson {
  /** Opaque, at most 64 octets; comes back with every use (WebAuthn §14.6.1). */
  readonly handle: string;
  readonly address: string;
  readonly displayName: string;
}

/** Longer text is no answer of a browser; our limit. In UTF-16 units. */
export const maxCredentialLength = 16_384;

const timeoutMs = 300_000;
/** ES256, EdDSA and RS256: what authenticators can do. */
const algorithms: number[] = [-7, -8, -257];

export function rpIdOf({ host }: PasskeyPlace): string {
  return host.replace(/:\d{1,5}$/, "");
}

function originOf({ host }: PasskeyPlace): string {
  return `https://${host.replace(/:443$/, "")}`;
}

/** @returns JSON text of PublicKeyCredentialCreationOptionsJSON (WebAuthn §5.1.8) */
export async function registrationOptions(
  place: PasskeyPlace,
  challenge: Buffer,
  person: PasskeyPerson,
  known: readonly PasskeyFacts[],
): Promise<string> {
  const options = await generateRegistrationOptions({
    rpName: rpIdOf(place),
    rpID: rpIdOf(place),
    userName: person.address,
    userDisplayName: person.displayName,
    userID: new Uint8Array(Buffer.from(person.handle)),
    challenge: new Uint8Array(challenge),
    timeout: timeoutMs,
    attestationType: "none",
    excludeCredentials: known.map(({ credentialId: id }) => ({ id })),
    // Discoverable and verified, so that it may be the only factor.
    authenticatorSelection: { residentKey: "required", userVerification: "required" },
    supportedAlgorithmIDs: algorithms,
  });
  return JSON.stringify(options);
}

/** @param credential untrusted: JSON text of RegistrationResponseJSON (WebAuthn §5.1) */
export async function checkRegistration(
  place: PasskeyPlace,
  challenge: Buffer,
  credential: string,
): Promise<Result<PasskeyFacts, "bad-passkey">> {
  const response = parseCredential(credential);
  if (response === undefined) return refuse("bad-passkey");
  try {
    if (!vouchesForItself(response)) return refuse("bad-passkey");
    const { verified, registrationInfo } = await verifyRegistrationResponse({
      response: response as never,
      expectedChallenge: challenge.toString("base64url"),
      expectedOrigin: originOf(place),
      expectedRPID: rpIdOf(place),
      requireUserVerification: true,
      supportedAlgorithmIDs: algorithms,
    });
    if (!verified) return refuse("bad-passkey");
    const { id, publicKey, counter } = registrationInfo.credential;
    const { transports } = response.response;
    return accept({
      credentialId: id,
      publicKey: Buffer.from(publicKey).toString("base64url"),
      counter,
      transports: Array.isArray(transports) ? transports.filter(isWord).slice(0, 8) : [],
      rpId: rpIdOf(place),
    });
  } catch {
    return refuse("bad-passkey"); // the library throws for whatever a browser would not send
  }
}

/**
 * @param known of the person whose second factor is asked for; empty: of anybody, found by the browser
 * @returns JSON text of PublicKeyCredentialRequestOptionsJSON (WebAuthn §5.1.9)
 */
export async function requestOptions(
  place: PasskeyPlace,
  challenge: Buffer,
  known: readonly PasskeyFacts[],
): Promise<string> {
  const options = await generateAuthenticationOptions({
    rpID: rpIdOf(place),
    challenge: new Uint8Array(challenge),
    timeout: timeoutMs,
    userVerification: known.length === 0 ? "required" : "preferred",
    ...(known.length > 0 && {
      allowCredentials: known.map(({ credentialId: id, transports }) => ({
        id,
        transports: [...transports],
      })),
    }),
  });
  return JSON.stringify(options);
}

/** What a browser's answer claims, to find the passkey by; nothing of it is proved yet. */
export function claimedBy(
  credential: string,
): { readonly credentialId: string; readonly handle?: string } | undefined {
  const parsed = parseCredential(credential);
  if (parsed === undefined) return undefined;
  const { userHandle } = parsed.response;
  // Some browsers say "" where the authenticator said nothing.
  if (typeof userHandle !== "string" || userHandle === "") return { credentialId: parsed.id };
  return { credentialId: parsed.id, handle: Buffer.from(userHandle, "base64url").toString() };
}

/**
 * Checks the answer to a challenge (WebAuthn §7.2).
 *
 * @param alone it is the only factor: the authenticator must have verified its user
 * @returns the counter to keep; one that does not grow where it ever did is refused (§6.1.1)
 */
export async function checkAssertion(
  place: PasskeyPlace,
  challenge: Buffer,
  { credential, alone }: { readonly credential: string; readonly alone: boolean },
  passkey: PasskeyFacts,
): Promise<Result<number, "bad-passkey">> {
  const response = parseCredential(credential);
  if (response === undefined || passkey.rpId !== rpIdOf(place)) return refuse("bad-passkey");
  try {
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response: response as never,
      expectedChallenge: challenge.toString("base64url"),
      expectedOrigin: originOf(place),
      expectedRPID: passkey.rpId,
      requireUserVerification: alone,
      credential: {
        id: passkey.credentialId,
        publicKey: new Uint8Array(Buffer.from(passkey.publicKey, "base64url")),
        counter: passkey.counter,
      },
    });
    return verified ? accept(authenticationInfo.newCounter) : refuse("bad-passkey");
  } catch {
    return refuse("bad-passkey");
  }
}

/**
 * Without certificates of a maker (WebAuthn §8.2, §8.7), which we ask nobody for: to check those,
 * the library would fetch what they name.
 */
function vouchesForItself({ response }: Credential): boolean {
  const octets = Buffer.from(String(response["attestationObject"]), "base64url");
  const decoded = decodeAttestationObject(new Uint8Array(octets));
  const format = decoded.get("fmt");
  if (format === "none") return true;
  return format === "packed" && decoded.get("attStmt").get("x5c") === undefined;
}

interface Credential {
  readonly id: string;
  readonly response: Readonly<Record<string, unknown>>;
}

/** Only as far as we read it ourselves; the library checks the rest. */
function parseCredential(text: string): Credential | undefined {
  if (text.length > maxCredentialLength) return undefined;
  try {
    const value = JSON.parse(text) as Partial<Credential> | null;
    const { id, response } = value ?? {};
    if (!isWord(id) || typeof response !== "object" || response === null) return undefined;
    return value as Credential;
  } catch {
    return undefined;
  }
}

function isWord(value: unknown): value is string {
  return typeof value === "string" && /^[A-Za-z0-9_-]{1,1400}$/.test(value);
}
