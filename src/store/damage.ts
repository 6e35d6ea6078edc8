/** What the store says when its own octets are not what it wrote. */

import { Unavailable } from "#base/errors";
import type { MessageId } from "#model/mailbox";

export interface DamagePlace {
  /** Name of the segment file in the store's directory. */
  readonly file: string;
  /** Page in it, from 0. */
  readonly page: number;
  readonly what: DamageKind;
  /** The messages that cannot be read whole, as far as the rest of the ledger tells. */
  readonly messages: readonly MessageId[];
}

export type DamageKind =
  /** The checksum does not fit the page. */
  | "checksum"
  /** The checksum fits, the hash of the payload does not. */
  | "hash"
  /** A page of another place, file or store. */
  | "misplaced"
  /** Nothing stands where something was durable. */
  | "missing"
  /** The page is sound, what it says makes no sense. */
  | "record"
  /** The octets of a content do not have the hash that is their name. */
  | "content";

/** Nothing is deleted or zeroed on damage: whoever can repair it finds it as it is. */
export class Damaged extends Unavailable {
  readonly place: DamagePlace;

  constructor(place: DamagePlace) {
    const whose = place.messages.length > 0 ? `, messages ${place.messages.join(" ")}` : "";
    super(`store damaged: ${place.file} page ${place.page} (${place.what})${whose}`);
    this.place = place;
  }
}
