/** What proves who somebody is besides the password, as it is kept; a door checks it. */

import type { AccountId } from "#model/mailbox";

interface FactorCommon {
  /** Random, of no meaning. */
  readonly id: string;
  /** What its owner calls it. */
  readonly name: string;
  readonly addedAtMs: number;
  readonly usedAtMs?: number;
}

/** A secret shared with an authenticator app (RFC 6238). */
export interface TotpFactor extends FactorCommon {
  readonly kind: "totp";
  /** Base64url. */
  readonly secret: string;
  /** The last step whose code was taken. */
  readonly usedStep: number;
}

export interface PasskeyFactor extends FactorCommon {
  readonly kind: "passkey";
  readonly credentialId: string;
  readonly publicKey: string;
  readonly counter: number;
  readonly transports: readonly string[];
  readonly rpId: string;
}

/** Digests of the codes that are left. At most one of this kind for an account. */
export interface RecoveryCodesFactor extends FactorCommon {
  readonly kind: "recovery-codes";
  readonly digests: readonly string[];
}

/** A generated password for one program, which knows no second factor. */
export interface AppPasswordFactor extends FactorCommon {
  readonly kind: "app-password";
  readonly digest: string;
}

export type Factor = TotpFactor | PasskeyFactor | RecoveryCodesFactor | AppPasswordFactor;

/** Where they are kept; the store's `factors` fits. */
export interface FactorStore {
  all(): Promise<readonly { readonly account: AccountId; readonly factors: readonly object[] }[]>;
  put(account: AccountId, factors: readonly object[], by: string): Promise<boolean>;
}

/** Our limit on the factors of one account. */
export const maxFactors = 50;

/** Recovery codes alone do not count: they stand in for one that was lost. */
export function hasSecondFactor(factors: readonly Factor[]): boolean {
  return factors.some(({ kind }) => kind === "totp" || kind === "passkey");
}

/** Without anything to stand in for, recovery codes go, too. */
export function withoutFactor(factors: readonly Factor[], id: string): readonly Factor[] {
  const left = factors.filter((one) => one.id !== id);
  return hasSecondFactor(left) ? left : left.filter(({ kind }) => kind !== "recovery-codes");
}
