/** What the sessions of one server share, and what commands see of a session. */

import type { Clock } from "#base/clock";
import { Denied, Full, Unavailable } from "#base/errors";
import type { Gate } from "#base/limits";
import type { Directory, Person } from "#contracts/directory";
import type { Store } from "#contracts/store";
import type { AccountId, Change, MailboxId } from "#model/mailbox";
import type { ImapEvents } from "./events.ts";
import type { Output } from "./output.ts";
import type { ImapLimits } from "./parameters.ts";
import type { Recents } from "./recents.ts";
import type { Rendered } from "./rendered.ts";
import type { View } from "./view.ts";

export interface Shared {
  readonly store: Store;
  readonly directory: Directory;
  readonly clock: Clock;
  readonly limits: ImapLimits;
  readonly events: ImapEvents;
  readonly hostname: string;
  readonly recents: Recents;
  readonly rendered: Rendered;
  /** Large reads into memory, a few at a time for the whole server. */
  readonly largeReads: Gate;
  readonly capabilities: { readonly before: string; readonly after: string };
  /** False when the account has its share of connections already. */
  mayEnter(person: Person): boolean;
  /** How often everything of the account was ended; another number ends its sessions here. */
  revocations(account: AccountId): number;
  /** The session's changes come from this mailbox from now on; undefined: from none. */
  follow(listener: Follower, mailbox: MailboxId | undefined): void;
}

export interface Follower {
  changed(change: Change): void;
}

/** Tagged completion of a command (RFC 9051 §7.1). */
export interface Answer {
  readonly status: "OK" | "NO" | "BAD";
  /** Response code without its brackets. */
  readonly code?: string;
  readonly text: string;
  /** The command used sequence numbers: EXPUNGE must wait. */
  readonly holdsNumbers?: true;
  /** The session ends after this answer, for this reason. */
  readonly end?: string;
}

export const ok = (text: string, code?: string): Answer => answer("OK", text, code);
export const no = (text: string, code?: string): Answer => answer("NO", text, code);
export const bad = (text: string): Answer => answer("BAD", text);

function answer(status: Answer["status"], text: string, code?: string): Answer {
  return code === undefined ? { status, text } : { status, code, text };
}

/** What went wrong on our side, in the words of RFC 5530 §3; nothing internal leaves. */
export function answerTo(error: unknown): Answer {
  if (error instanceof Full) return no("No room left", "OVERQUOTA");
  if (error instanceof Unavailable) return no("Try again later", "UNAVAILABLE");
  if (error instanceof Denied) return no("Not permitted", "NOPERM");
  return no("Internal error", "SERVERBUG");
}

/** The client has to be told nothing more: the connection is gone or must go. */
export class Gone extends Error {
  override readonly name = "Gone";
}

/** What ENABLE switched on (RFC 9051 §6.3.1); CONDSTORE also by using it (RFC 7162 §3.1). */
export interface Enabled {
  rev2: boolean;
  utf8: boolean;
  condStore: boolean;
  qresync: boolean;
}

/** A session as commands see it. */
export interface Talk extends Follower {
  readonly shared: Shared;
  readonly from: string;
  readonly out: Output;
  readonly enabled: Enabled;
  person: Person | undefined;
  /** Of the account, when it logged in. */
  revocations: number;
  /** Id of the one that it logged in with; absent: the account's own password. */
  appPassword: string | undefined;
  view: View | undefined;
  /** Where to write mailbox names as UTF-8. */
  readonly utf8Names: boolean;
  /** The tag of the command that runs, as a quoted string (RFC 9051 §7.3.4). */
  readonly tagText: string;
  /** The account, once logged in. */
  account(): string;
  /** Sends what waits, waits for a client that does not read, and lets other sessions run. */
  breathe(): Promise<void> | undefined;
  /** Ends the session with a word to the client. */
  bye(text: string, code?: string): void;
  /** Breaks the connection: what was begun cannot be ended properly. */
  destroy(why: string): void;
}
