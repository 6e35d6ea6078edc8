/** Whose mail stands on a page: what an administrator has to know when the page is lost. */

import type { MessageId } from "#model/mailbox";
import type { Account } from "#model/people";
import { Damaged, type DamagePlace } from "./damage.ts";
import { recordHeaderBytes } from "./records.ts";
import type { Row, Views } from "./views.ts";

/** A message that cannot be read whole without the page. */
export interface AffectedMessage {
  readonly message: MessageId;
  /** Where it is now; nowhere when only the queue, a hold, or nobody has it. */
  readonly entries: readonly { readonly address: string; readonly mailbox: string }[];
}

/** More than these are not named. */
const maxNamed = 1000;

/** @param from first octet that is lost in the joined payload of the segment, and `to` behind the last */
export function affectedBy(
  views: Views,
  segment: number,
  from: number,
  to: number,
): readonly AffectedMessage[] {
  const rows = views.all(messagesOn, segment, from, to, recordHeaderBytes, maxNamed);
  return rows.map((row) => affected(views, row));
}

/** Where messages are; those that the views do not know, too. */
export function whereIs(views: Views, messages: Iterable<MessageId>): readonly AffectedMessage[] {
  const found: AffectedMessage[] = [];
  for (const message of new Set(messages)) {
    if (found.length >= maxNamed) break;
    const row = views.get("SELECT seq, id FROM message WHERE id = ?", message);
    found.push(row === undefined ? { message, entries: [] } : affected(views, row));
  }
  return found;
}

function affected(views: Views, { seq, id }: Row): AffectedMessage {
  const entries = views.all(entriesOf, seq as number).map(({ json, account, name }) => ({
    address: json === null ? (account as string) : views.open<Account>(json).address,
    mailbox: views.open<string>(name),
  }));
  return { message: id as string, entries };
}

/** Their records with the heads, and whatever holds octets of their contents. */
const messagesOn = `SELECT seq, id FROM message WHERE status <> 'refused' AND (
  (segment = ?1 AND json_at - ?4 < ?3 AND json_at + json_bytes + head_bytes + ?4 > ?2)
  OR content IN (SELECT content FROM blob WHERE segment = ?1 AND at < ?3 AND at + bytes > ?2))
  ORDER BY seq LIMIT ?5`;

const entriesOf = `SELECT a.json, b.account, b.name FROM entry e
  JOIN mailbox b ON b.number = e.mailbox LEFT JOIN account a ON a.id = b.account
  WHERE e.message = ? AND b.name IS NOT NULL`;

/** Damage beyond repair, met where people are told whose mail it is. */
export class DamagedMail extends Damaged {
  readonly affected: readonly AffectedMessage[];

  constructor(place: DamagePlace, affected: readonly AffectedMessage[]) {
    super({ ...place, messages: affected.map(({ message }) => message) });
    this.affected = affected;
  }

  /** One line each: message, and who has it where. For administrators, never for a log. */
  get named(): readonly string[] {
    return this.affected.map(nameMail);
  }
}

/** One line for people: the message, and who has it where. */
export function nameMail({ message, entries }: AffectedMessage): string {
  const where = entries.map(({ address, mailbox }) => `${address} in ${mailbox}`);
  return [message, ...where].join(", ");
}
