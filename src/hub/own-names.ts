/** What of us somebody may pretend to be: domains that look like ours, and names of our people. */

import { domainToASCII } from "node:url";
import type { DirectoryAdmin } from "#directory";
import { foldName, type LookAlikes, lookAlikes } from "#identity/sender";
import type { AccountId } from "#model/mailbox";

export interface OwnNames {
  readonly known: LookAlikes;
  /** Whose names they are, by `foldName`. */
  readonly people: ReadonlyMap<string, readonly AccountId[]>;
}

/**
 * Worked out again only when the directory has changed.
 *
 * @param partners domains that nobody should pass for either
 */
export function ownNames(
  directory: Pick<DirectoryAdmin, "domains" | "accounts" | "onChange">,
  partners: readonly string[],
): () => OwnNames {
  let names: OwnNames | undefined;
  directory.onChange(() => {
    names = undefined;
  });
  return () => {
    if (names !== undefined) return names;
    const domains = [...directory.domains().map(({ name }) => name), ...partners];
    const people = new Map<string, AccountId[]>();
    for (const { id, displayName } of directory.accounts()) {
      const folded = foldName(displayName);
      people.set(folded, [...(people.get(folded) ?? []), id]);
    }
    const ascii = domains.map((name) => domainToASCII(name.toLowerCase()));
    names = { known: lookAlikes(ascii), people };
    return names;
  };
}
