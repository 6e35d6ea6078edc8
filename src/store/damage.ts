/** What the store says when its own octets are not what it wrote. */

import { Misconfigured, Unavailable } from "#base/errors";
import type { MessageId } from "#model/mailbox";
import { formatVersion, type PageFault } from "./pages.ts";

export interface DamagePlace {
  /** Name of the file in the store's directory. */
  readonly file: string;
  /** Page in it, from 0; of a parity file, its block. */
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
  /** A page of a later, or an earlier, version of the format. */
  | "future"
  | "earlier"
  /** Nothing stands where something was durable. */
  | "missing"
  /** The disk says that it cannot read it. */
  | "unreadable"
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

/** The files are sound, and of a version of the format that this program does not read. */
export class WrongVersion extends Misconfigured {
  constructor(file: string, which: "future" | "earlier") {
    const [age, remedy] =
      which === "future"
        ? ["later", "install a release that reads it"]
        : ["earlier", "start with an empty folder, or use the release that made it"];
    super(`${file} was made by a version ${age} than format ${formatVersion}: ${remedy}`);
  }
}

/** What to throw where a page has to be sound. */
export function pageError(
  file: string,
  page: number,
  fault: PageFault | "hash" | "unreadable",
): Damaged | WrongVersion {
  if (fault === "future" || fault === "earlier") return new WrongVersion(file, fault);
  return new Damaged({ file, page, what: kindOf(fault), messages: [] });
}

export function kindOf(fault: PageFault | "hash" | "unreadable"): DamageKind {
  return fault === "empty" ? "missing" : fault;
}
