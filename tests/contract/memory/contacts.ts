/** Who has had mail with whom, in memory. */

import type { Acceptance, ContactStore } from "#contracts/store";
import type { MemoryState } from "./state.ts";

export function noteContacts(state: MemoryState, acceptance: Acceptance): void {
  const { connection, deliveries, direction, envelope, verdicts } = acceptance;
  for (const verdict of verdicts) {
    if (verdict.method !== "sender" || verdict.address === "") continue;
    if (verdict.result === "forged" || verdict.result === "not-verified") continue;
    for (const { account } of deliveries) {
      const key = keyOf(account, verdict.address);
      state.contacts.set(key, state.contacts.get(key) ?? "heard");
    }
  }
  const login = connection.authenticated?.toLowerCase();
  const sender = [...state.accounts.values()].find((one) => one.address.toLowerCase() === login);
  if (direction !== "submission" || sender === undefined) return;
  for (const { path } of envelope.recipients) state.contacts.set(keyOf(sender.id, path), "wrote");
}

export function contactStore({ contacts }: MemoryState): ContactStore {
  return {
    known: async (address, accounts) =>
      new Map(
        accounts.flatMap((account) => {
          const how = contacts.get(keyOf(account, address));
          return how === undefined ? [] : [[account, how] as const];
        }),
      ),
  };
}

function keyOf(account: string, address: string): string {
  return `${account} ${address.toLowerCase()}`;
}
