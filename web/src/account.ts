/** How somebody signs in, asked of the server: what it knows, and what can be changed. */

import { askJson } from "./jmap.ts";

export interface Factor {
  readonly id: string;
  readonly kind: "totp" | "passkey" | "recovery-codes" | "app-password";
  readonly name: string;
  readonly addedAtMs: number;
  readonly usedAtMs?: number;
  /** Recovery codes that were not used. */
  readonly left?: number;
  /** Where a passkey works. */
  readonly host?: string;
}

export interface WebSession {
  readonly id: string;
  readonly issuedAtMs: number;
  readonly usedAtMs: number;
  readonly clientAddress: string;
  readonly publicComputer: boolean;
  /** The one that asks. */
  readonly isOwn: boolean;
}

export interface Enrolled {
  /** Made with the first second factor; shown this once. */
  readonly recoveryCodes?: readonly string[];
  /** The session was for enrolling only and is over. */
  readonly signInAgain: boolean;
}

export async function fetchFactors(): Promise<readonly Factor[]> {
  return (await askJson<{ factors: readonly Factor[] }>("/account/factors")).factors;
}

export async function fetchSessions(): Promise<readonly WebSession[]> {
  return (await askJson<{ sessions: readonly WebSession[] }>("/account/sessions")).sessions;
}

export const confirmPassword = (password: string): Promise<object> =>
  askJson("/account/confirm", { password });

export const changePassword = (old: string, next: string): Promise<object> =>
  askJson("/account/password", { old, new: next });

export const beginTotp = (): Promise<{ readonly secret: string; readonly uri: string }> =>
  askJson("/account/totp/begin", {});

export const finishTotp = (name: string, code: string): Promise<Enrolled> =>
  askJson("/account/totp/finish", { name, code });

export const removeFactor = (id: string): Promise<object> =>
  askJson("/account/factors/remove", { id });

export async function makeRecoveryCodes(): Promise<readonly string[]> {
  return (await askJson<{ codes: readonly string[] }>("/account/recovery-codes", {})).codes;
}

export async function makeAppPassword(name: string): Promise<string> {
  return (await askJson<{ password: string }>("/account/app-passwords", { name })).password;
}

export const endSession = (id: string): Promise<object> => askJson("/account/sessions/end", { id });

export const endOtherSessions = (): Promise<object> => askJson("/account/sessions/end-others", {});

export const endAllSessions = (): Promise<object> => askJson("/account/sessions/end-all", {});

export async function addPasskey(name: string): Promise<Enrolled> {
  const { options } = await askJson<{ options: CreationOptions }>("/account/passkeys/begin", {});
  const credential = await createPasskey(options);
  return askJson("/account/passkeys/finish", { name, credential });
}

/** PublicKeyCredentialCreationOptionsJSON (WebAuthn §5.1.8), as far as octets stand in it as text. */
interface CreationOptions {
  readonly challenge: string;
  readonly user: { readonly id: string; readonly name: string; readonly displayName: string };
  readonly excludeCredentials?: readonly { readonly id: string; readonly type: "public-key" }[];
}

/** @returns JSON text of RegistrationResponseJSON (WebAuthn §5.1) */
async function createPasskey(options: CreationOptions): Promise<string> {
  const made = await navigator.credentials.create({
    publicKey: {
      ...(options as unknown as PublicKeyCredentialCreationOptions),
      challenge: octetsOf(options.challenge),
      user: { ...options.user, id: octetsOf(options.user.id) },
      excludeCredentials: (options.excludeCredentials ?? []).map((one) => ({
        ...one,
        id: octetsOf(one.id),
      })),
    },
  });
  const credential = made as PublicKeyCredential;
  const response = credential.response as AuthenticatorAttestationResponse;
  return JSON.stringify({
    id: credential.id,
    rawId: textOf(credential.rawId),
    type: credential.type,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: {
      clientDataJSON: textOf(response.clientDataJSON),
      attestationObject: textOf(response.attestationObject),
      transports: response.getTransports(),
    },
  });
}

function octetsOf(text: string): Uint8Array<ArrayBuffer> {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (one) => one.charCodeAt(0));
}

function textOf(octets: ArrayBuffer): string {
  const text = btoa(String.fromCharCode(...new Uint8Array(octets)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
