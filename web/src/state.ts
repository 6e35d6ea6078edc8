/** What the application knows, in one value that is replaced and never written into. */

import type { DraftText } from "./addresses.ts";
import { emptyDraft } from "./addresses.ts";
import type { Uploaded } from "./jmap.ts";
import type { Email, Identity, Mailbox, OpenEmail, ReadByOther } from "./types.ts";

export interface Attachment extends Uploaded {
  readonly name: string;
}

export interface Compose {
  readonly draft: DraftText;
  readonly identityId: string;
  readonly attachments: readonly Attachment[];
  /** Files under way. */
  readonly uploading: number;
  /** The saved draft that this one replaces. */
  readonly draftId: string | null;
  readonly changed: boolean;
  readonly fault: string | null;
}

export interface Notice {
  readonly text: string;
  readonly tone: "info" | "danger";
  readonly undo?: () => void;
  /** Shown as a countdown where there is something to undo. */
  readonly untilMs?: number;
}

export interface Listing {
  readonly emails: readonly Email[];
  readonly total: number;
  readonly loading: "first" | "more" | null;
  readonly fault: string | null;
}

export interface State {
  /** "enrolling": a second factor must be set up before there is any mail. */
  readonly ready: "loading" | "ready" | "enrolling" | "failed";
  readonly accountId: string;
  readonly username: string;
  readonly identities: readonly Identity[];
  readonly mailboxes: readonly Mailbox[];
  readonly mailboxId: string;
  /** Words looked for in the mailbox, "" for none. */
  readonly search: string;
  readonly listing: Listing;
  /** Row with the keyboard's mark. */
  readonly cursor: string | null;
  readonly selection: ReadonlySet<string>;
  readonly openId: string | null;
  readonly open: OpenEmail | null;
  readonly openFault: string | null;
  readonly remoteCount: number;
  readonly showRemote: boolean;
  readonly compose: Compose | null;
  readonly notice: Notice | null;
  readonly signedOut: boolean;
  /** When the session is about to end; null while there is time. */
  readonly ending: Ending | null;
  /** What fills the window besides the mailboxes. */
  readonly view: "mail" | "security";
  readonly online: boolean;
  readonly keysShown: boolean;
  /** Null while the list is not shown. */
  readonly reads: readonly ReadByOther[] | null;
  readonly menuShown: boolean;
}

/** The session as the server told of it, in moments of this tab. */
export interface Ending {
  readonly endsAtMs: number;
  /** Nothing prolongs it. */
  readonly forGood: boolean;
}

export const emptyListing: Listing = { emails: [], total: 0, loading: "first", fault: null };

export const firstState: State = {
  ready: "loading",
  accountId: "",
  username: "",
  identities: [],
  mailboxes: [],
  mailboxId: "",
  search: "",
  listing: emptyListing,
  cursor: null,
  selection: new Set(),
  openId: null,
  open: null,
  openFault: null,
  remoteCount: 0,
  showRemote: false,
  compose: null,
  notice: null,
  signedOut: false,
  ending: null,
  view: "mail",
  online: true,
  keysShown: false,
  reads: null,
  menuShown: false,
};

export function newCompose(draft: DraftText, identityId: string): Compose {
  return {
    draft,
    identityId,
    attachments: [],
    uploading: 0,
    draftId: null,
    changed: false,
    fault: null,
  };
}

const storageKey = "postern-draft";

/** Kept for this tab and account only, so that an ended session loses no sentence. */
export function keepDraft(compose: Compose | null, accountId: string): void {
  if (compose === null || !compose.changed) sessionStorage.removeItem(storageKey);
  else sessionStorage.setItem(storageKey, JSON.stringify({ accountId, compose }));
}

/** What was kept of somebody else, who used this tab before, is thrown away. */
export function keptDraft(accountId: string): Compose | null {
  const text = sessionStorage.getItem(storageKey);
  if (text === null) return null;
  try {
    const kept = JSON.parse(text) as { readonly accountId: string; readonly compose: Compose };
    if (kept.accountId !== accountId) throw new Error("of another account");
    const { compose } = kept;
    return { ...compose, draft: { ...emptyDraft, ...compose.draft }, uploading: 0, fault: null };
  } catch {
    sessionStorage.removeItem(storageKey);
    return null;
  }
}

const seenKey = "postern-reads-seen";

/** Whether the newest read was not shown on this computer yet; from now on it was. */
export function isNews(reads: readonly ReadByOther[]): boolean {
  const newest = String(reads[0]?.atMs ?? "");
  const seen = localStorage.getItem(seenKey) ?? "";
  if (newest !== "") localStorage.setItem(seenKey, newest);
  return newest !== "" && newest !== seen;
}

const roleOrder = ["inbox", "drafts", "sent", "archive", "junk", "trash"];

export function sortedMailboxes(mailboxes: readonly Mailbox[]): readonly Mailbox[] {
  const rank = (one: Mailbox): number => {
    const at = roleOrder.indexOf(one.role ?? "");
    return at < 0 ? roleOrder.length : at;
  };
  return [...mailboxes].sort(
    (one, other) =>
      rank(one) - rank(other) ||
      one.sortOrder - other.sortOrder ||
      one.name.localeCompare(other.name),
  );
}
