/** Taking a message: its record, its content, its entries and queue items, in one commit. */

import type { Acceptance, Accepted, Delivery } from "#contracts/store";
import type { Entry, MailboxId, MailboxRole, MessageId } from "#model/mailbox";
import { actBytes } from "./act.ts";
import { seal } from "./cipher.ts";
import { type Contents, messageIdOf } from "./contents.ts";
import { cleanFlags } from "./flags.ts";
import { type AccountHead, type Heads, inRole, type MailboxHead } from "./heads.ts";
import type { Ledger } from "./ledger.ts";
import { entriesOfMessage } from "./mailbox-reads.ts";
import { draft, type PlacedDelivery } from "./records.ts";
import { mailboxId, mailboxNumber } from "./rows.ts";
import { digestOf } from "./statement.ts";
import { queueHolder } from "./store-keys.ts";
import type { Views } from "./views.ts";

/** What a recipient adds to a record at most, roughly. */
const recipientBytes = 512;

export class Acceptances {
  readonly #views: Views;
  readonly #ledger: Ledger;
  readonly #heads: Heads;
  readonly #contents: Contents;
  readonly #onTheirWay = new Map<MessageId, Promise<readonly Entry[]>>();

  constructor(views: Views, ledger: Ledger, heads: Heads, contents: Contents) {
    this.#views = views;
    this.#ledger = ledger;
    this.#heads = heads;
    this.#contents = contents;
  }

  isAccepted(id: MessageId): boolean {
    const sql = "SELECT 1 FROM message WHERE id = ? AND status <> 'refused'";
    return this.#views.get(sql, id) !== undefined;
  }

  async accept(acceptance: Acceptance): Promise<Accepted> {
    const { id } = acceptance;
    const running = this.#onTheirWay.get(id);
    if (running !== undefined) return { repeated: true, entries: await running };
    if (this.isAccepted(id)) {
      return { repeated: true, entries: entriesOfMessage(this.#views, null, id) };
    }
    const committing = this.#commit(acceptance);
    this.#onTheirWay.set(id, committing);
    try {
      return { repeated: false, entries: await committing };
    } finally {
      this.#onTheirWay.delete(id);
    }
  }

  async #commit(acceptance: Acceptance): Promise<readonly Entry[]> {
    const { content, head, envelope } = acceptance;
    const recipients = envelope.recipients.length + acceptance.queue.length;
    const octets = this.#contents.draftBytes(content) + head.length;
    const bytes = octets + actBytes + recipients * recipientBytes;
    const entries = await this.#ledger.commit(bytes, true, () => this.#build(acceptance));
    this.#contents.arrived(content.id);
    return entries;
  }

  #build(acceptance: Acceptance) {
    const { head, content } = acceptance;
    // Everything that can refuse comes before anything is given out.
    const targets = acceptance.deliveries.map((delivery) => this.#targetOf(delivery));
    const holders = new Set(targets.map(({ account }) => account.id));
    if (acceptance.queue.length > 0 || holders.size === 0) holders.add(queueHolder);
    const taken = this.#contents.take(content, holders);
    const touched = new Set<AccountHead>();
    const deliveries: PlacedDelivery[] = targets.map(({ account, mailbox, flags }) => {
      if (!touched.has(account)) account.modSeq += 1;
      touched.add(account);
      const uid = mailbox.uidNext;
      mailbox.uidNext += 1;
      const { modSeq, id } = account;
      return { account: id, mailbox: mailbox.number, uid, modSeq, flags };
    });
    const record = draft(
      {
        kind: "accepted",
        id: acceptance.id,
        direction: acceptance.direction,
        connection: acceptance.connection,
        envelope: acceptance.envelope,
        verdicts: acceptance.verdicts,
        decision: acceptance.decision,
        content: taken.id,
        contentBytes: content.sizeBytes,
        headBytes: head.length,
        digest: digestOf(taken.secret.key, head, taken.secret.sum),
        acceptedAtMs: acceptance.acceptedAtMs,
        steps: acceptance.steps,
        ...messageIdOf(content),
        deliveries,
        queue: acceptance.queue,
      },
      [seal(this.#views.keys.cipher, taken.secret.key, head)],
    );
    const entries = deliveries.map((delivery) => entryFor(acceptance, delivery));
    return { drafts: [...taken.drafts, record], value: entries };
  }

  /** A mailbox that went while the message was on its way, or a role nobody has, means INBOX. */
  #targetOf({ account: id, mailbox: wanted, flags }: Delivery): {
    account: AccountHead;
    mailbox: MailboxHead;
    flags: string[];
  } {
    const account = this.#heads.needAccount(id);
    const mailbox = findMailbox(account, wanted) ?? (inRole(account, "inbox") as MailboxHead);
    return { account, mailbox, flags: cleanFlags(flags) };
  }
}

function findMailbox(
  account: AccountHead,
  wanted: MailboxId | MailboxRole,
): MailboxHead | undefined {
  return account.mailboxes.get(mailboxNumber(wanted)) ?? inRole(account, wanted as MailboxRole);
}

function entryFor(acceptance: Acceptance, delivery: PlacedDelivery): Entry {
  const { uid, modSeq, flags } = delivery;
  return {
    mailbox: mailboxId(delivery.mailbox),
    uid,
    modSeq,
    flags,
    receivedAtMs: acceptance.acceptedAtMs,
    message: acceptance.id,
    sizeBytes: acceptance.head.length + acceptance.content.sizeBytes,
  };
}
