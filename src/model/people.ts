/** Domains, accounts and aliases of this installation. */

import type { AccountId } from "#model/mailbox";

export interface Domain {
  /** Lower case, A-labels. */
  readonly name: string;
}

export interface Account {
  readonly id: AccountId;
  /** Primary address. */
  readonly address: string;
  readonly displayName: string;
  /** PHC string of Argon2id, or absent when the account cannot log in. */
  readonly passwordHash?: string;
  readonly createdAtMs: number;
}

export interface Alias {
  readonly address: string;
  /** Primary addresses, or addresses elsewhere. */
  readonly targets: readonly string[];
}
