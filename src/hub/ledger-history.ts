/** The history of the ledger for outsiders: its signed and cosigned heads, and proofs under them. */

import { join } from "node:path";
import { Denied } from "#base/errors";
import { formatNoteKey, parseSignedHead } from "#formats/checkpoint";
import type { MessageId } from "#model/mailbox";
import type { Edges } from "./edges.ts";
import type { Inside } from "./inside.ts";
import { type LedgerHeads, openHeads } from "./ledger-heads.ts";
import { type WitnessEvents, witnessEvents } from "./witness-events.ts";
import { startWitnessing, type Witnessing } from "./witnessing.ts";

export interface LedgerHistory extends AsyncDisposable {
  /** The head as it is now, cosigned. @throws Unavailable without a witness */
  head(): Promise<{ readonly note: string }>;
  /** postern-keys-1 of docs/witness.md: whom an auditor should believe. */
  keys(): object;
  /** postern-proof-1 of docs/witness.md; undefined when there is no such message. */
  prove(message: MessageId): Promise<object | undefined>;
  /**
   * Ends the log of that name and begins another, once a person has decided that the history may not
   * continue the one that was cosigned.
   *
   * @returns the new log's name
   * @throws Denied when that is not the log's name, Unavailable when the keyring does not answer
   */
  renew(name: string): Promise<string>;
}

export function startHistory(inside: Inside, edges: Edges): LedgerHistory {
  const { store, signer } = inside;
  const events = witnessEvents(inside.log, inside.registry);
  let { heads, witnessing } = begin(inside, edges, events);
  return {
    head: async () => ({ note: (await witnessing.now()).note }),
    keys: () => ({
      format: "postern-keys-1",
      log: signer.keys.map(formatNoteKey),
      witnesses: witnessing.last ? [witnessing.last.witnessKeys.map(formatNoteKey)] : [],
      store: store.storeId,
    }),
    async renew(name) {
      if (name !== signer.origin) throw new Denied(`the log is ${signer.origin}`);
      await witnessing[Symbol.asyncDispose]();
      try {
        await signer.renew();
      } finally {
        ({ heads, witnessing } = begin(inside, edges, events));
      }
      await edges.pushPolicy();
      return signer.origin;
    },
    async prove(message) {
      const { note } = await witnessing.now();
      const head = parseSignedHead(note);
      if (!head.ok) throw new Error(`a head of our own cannot be read: ${head.fault}`);
      const proof = await store.prove(message, head.value.head.size);
      if (proof === undefined) return undefined;
      const earlier = heads.before((proof.leaves[0]?.index ?? 0) + 1);
      return {
        format: "postern-proof-1",
        note,
        ...(earlier !== undefined && { earlier }),
        ...proof,
      };
    },
    [Symbol.asyncDispose]: () => witnessing[Symbol.asyncDispose](),
  };
}

/** With the heads of this log alone: those of others are no past of it. */
function begin(
  { settings, store, clock, signer }: Inside,
  edges: Edges,
  events: WitnessEvents,
): { readonly heads: LedgerHeads; readonly witnessing: Witnessing } {
  const { origin } = signer;
  const heads = openHeads(
    join(settings.folder, "heads", origin.slice(origin.lastIndexOf("/") + 1)),
  );
  const witnessing = startWitnessing({
    source: store.history,
    signer,
    storeId: store.storeId,
    clock,
    linkNow: () => edges.smtp.forKind("witness"),
    events,
    ...(heads.last !== undefined && { last: heads.last }),
    cosigned: (head) => heads.keep(head),
  });
  return { heads, witnessing };
}
