/** Everything that can still be read, message by message, past whatever cannot. */

import { Unavailable } from "#base/errors";
import { silentLog } from "#base/log";
import type { Mailboxes, PeopleStore } from "#contracts/store";
import type { MessageId } from "#model/mailbox";
import type { Account } from "#model/people";
import { Damaged } from "./damage.ts";
import type { ExamineParts } from "./examine.ts";
import { mailboxReads } from "./mailbox-reads.ts";
import { messageReader } from "./messages.ts";
import { RecordReader } from "./reader.ts";
import { openKeys } from "./recover.ts";
import { Repair } from "./repair.ts";
import { salvageViews } from "./salvage-views.ts";
import { Segments } from "./segments.ts";
import { StoreKeys } from "./store-keys.ts";
import type { Views } from "./views.ts";

/** One message in one mailbox. */
export interface SalvagePlace {
  readonly address: string;
  /** Full name, "/" between levels. */
  readonly mailbox: string;
  readonly uid: number;
  readonly message: MessageId;
}

export type Salvaged = SalvagePlace & ({ readonly octets: Buffer } | { readonly lost: string });

export interface SalvageSource {
  readonly people: Pick<PeopleStore, "accounts">;
  readonly mailboxes: Pick<Mailboxes, "list" | "entries">;
  /** @returns undefined when the message is gone by now */
  read(account: Account["id"], message: MessageId): Promise<Buffer | undefined>;
}

/** Mail in mailboxes, account by account; what waits in the queue only is not among it. */
export async function* salvage(source: SalvageSource): AsyncGenerator<Salvaged> {
  for (const { id, address } of await source.people.accounts()) {
    for (const mailbox of await source.mailboxes.list(id)) {
      for (const { uid, message } of await source.mailboxes.entries(mailbox.id)) {
        const place = { address, mailbox: mailbox.name, uid, message };
        try {
          const octets = await source.read(id, message);
          if (octets !== undefined) yield { ...place, octets };
        } catch (error) {
          if (!(error instanceof Damaged || error instanceof Unavailable)) throw error;
          yield { ...place, lost: error.message };
        }
      }
    }
  }
}

export interface StoppedSalvage extends AsyncDisposable {
  readonly source: SalvageSource;
  /** The index did not hold everything, and the ledger could not be read beyond this. */
  readonly endsAt: string | undefined;
}

/**
 * The files of a stopped store, whatever is wrong with them. Pages that can be repaired are.
 *
 * @returns undefined when no store is there
 * @throws Misconfigured without the right keys
 */
export async function openSalvage(
  parts: Pick<ExamineParts, "disk" | "directory" | "master" | "indexPath" | "random">,
): Promise<StoppedSalvage | undefined> {
  const segments = new Segments(parts.disk, parts.directory);
  segments.repair = new Repair(segments, () => undefined);
  try {
    const file = await openKeys(segments, parts, parts.master);
    if (file === undefined) {
      await segments.close();
      return undefined;
    }
    const keys = new StoreKeys(file);
    const { views, endsAt } = await salvageViews(segments, parts.indexPath, {
      keys,
      log: silentLog,
    });
    return {
      source: sourceOf(views, segments),
      endsAt,
      async [Symbol.asyncDispose]() {
        views.close();
        await segments.close();
      },
    };
  } catch (error) {
    await segments.close();
    throw error;
  }
}

function sourceOf(views: Views, segments: Segments): SalvageSource {
  const messages = messageReader(views, new RecordReader(views, segments));
  const accounts = views.all("SELECT json FROM account WHERE json IS NOT NULL");
  return {
    people: { accounts: async () => accounts.map(({ json }) => views.open<Account>(json)) },
    mailboxes: mailboxReads(views),
    read: (_account, message) => messages.read(message),
  };
}
