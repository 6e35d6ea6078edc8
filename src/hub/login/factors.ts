/** What a person does with their factors: uses one, adds one, takes one away. */

import {
  checkAssertion,
  checkTotp,
  claimedBy,
  type PasskeyFacts,
  type PasskeyPlace,
  recoveryDigest,
  rpIdOf,
} from "#access/factors";
import type { Random } from "#base/random";
import type { SecondFactor } from "#contracts/web";
import type { DirectoryFactors, Factor, PasskeyFactor } from "#directory";
import type { AccountId } from "#model/mailbox";

type Directory = Pick<DirectoryFactors, "factors" | "changeFactors">;

/** Who acts in the ledger when a factor is only used. */
const byUse = "login";

/** What can be asked for at that host: a passkey works only where it was made. */
export function askable(factors: readonly Factor[], place: PasskeyPlace): readonly SecondFactor[] {
  const hasCode = factors.some(({ kind }) => kind === "totp" || kind === "recovery-codes");
  const hasPasskey = passkeysAt(factors, place).length > 0;
  return [...(hasCode ? (["code"] as const) : []), ...(hasPasskey ? (["passkey"] as const) : [])];
}

export function passkeysAt(
  factors: readonly Factor[],
  place: PasskeyPlace,
): readonly PasskeyFactor[] {
  const rpId = rpIdOf(place);
  return factors.filter((one) => one.kind === "passkey" && one.rpId === rpId) as PasskeyFactor[];
}

/** Uses up a code of an authenticator or a recovery code; true once for each. */
export function useCode(
  directory: Directory,
  account: AccountId,
  code: string,
  nowMs: number,
): Promise<boolean> {
  return directory.changeFactors(account, byUse, (factors) => {
    const digest = recoveryDigest(code);
    for (const one of factors) {
      if (one.kind === "totp") {
        const secret = Buffer.from(one.secret, "base64url");
        const usedStep = checkTotp(secret, code, nowMs, one.usedStep);
        if (usedStep !== undefined) return replaced(factors, { ...one, usedStep, usedAtMs: nowMs });
      } else if (one.kind === "recovery-codes" && one.digests.includes(digest)) {
        const digests = one.digests.filter((other) => other !== digest);
        return replaced(factors, { ...one, digests, usedAtMs: nowMs });
      }
    }
    return undefined;
  });
}

export interface Assertion extends PasskeyPlace {
  /** Used up with this. */
  readonly challenge: Buffer;
  /** JSON text of the browser's answer. */
  readonly credential: string;
  /** Whose second factor was asked for; absent: the passkey is to say who it is. */
  readonly account?: AccountId;
}

/** @returns whose passkey answered, or undefined */
export async function usePasskey(
  directory: Directory,
  { challenge, credential, account, host }: Assertion,
  nowMs: number,
): Promise<AccountId | undefined> {
  const claimed = claimedBy(credential);
  const owner = account ?? claimed?.handle;
  if (claimed === undefined || owner === undefined) return undefined;
  if (claimed.handle !== undefined && claimed.handle !== owner) return undefined;
  const isIt = (one: Factor): one is PasskeyFactor =>
    one.kind === "passkey" && one.credentialId === claimed.credentialId;
  const passkey = directory.factors(owner).find(isIt);
  if (passkey === undefined) return undefined;
  const alone = account === undefined;
  const checked = await checkAssertion({ host }, challenge, { credential, alone }, passkey);
  if (!checked.ok) return undefined;
  const counter = checked.value;
  const done = await directory.changeFactors(owner, byUse, (factors) => {
    const still = factors.find(isIt);
    // Another answer may have come first, and a copy of the authenticator shows by this.
    const hasGrown = counter === 0 ? still?.counter === 0 : counter > (still?.counter ?? counter);
    if (still === undefined || !hasGrown) return undefined;
    return replaced(factors, { ...still, counter, usedAtMs: nowMs });
  });
  return done ? owner : undefined;
}

export function newPasskey(
  facts: PasskeyFacts,
  named: { readonly id: string; readonly name: string; readonly addedAtMs: number },
): PasskeyFactor {
  return { ...named, ...facts, kind: "passkey" };
}

/** Of no meaning; tells the factors of one account apart. */
export function factorId(random: Random): string {
  return random.bytes(9).toString("base64url");
}

function replaced(factors: readonly Factor[], changed: Factor): readonly Factor[] {
  return factors.map((one) => (one.id === changed.id ? changed : one));
}
