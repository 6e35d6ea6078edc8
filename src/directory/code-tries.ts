/** Tries at the codes of a second factor: few for an account, whatever network they come from. */

import type { Clock } from "#base/clock";
import { clientNetwork } from "#base/ip";
import type { AccountId } from "#model/mailbox";
import type { CodeOutcome } from "./directory.ts";
import type { DirectoryLimits } from "./parameters.ts";
import { Guard } from "./slow-down.ts";

const day = 86_400_000;

export class CodeTries {
  readonly #guard: Guard;

  constructor(clock: Clock, limits: DirectoryLimits) {
    this.#guard = new Guard(clock, {
      accountFailures: limits.codeFailures,
      networkFailures: limits.networkFailures,
      recoveryMs: limits.codeRecoveryS * 1000,
      knownMs: limits.knownNetworkDays * day,
    });
  }

  async try(account: AccountId, from: string, check: () => Promise<boolean>): Promise<CodeOutcome> {
    const one = this.#guard.enter(account, clientNetwork(from));
    if (one === undefined) return "slow-down";
    if (!(await check())) return "wrong";
    one.welcome();
    return "right";
  }
}
