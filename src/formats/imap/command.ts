/** IMAP commands as values (RFC 9051 §6, RFC 3501 §6 and the extensions that the server announces). */

import type { FetchItem } from "./fetch-items.ts";
import type { SearchKey } from "./search-keys.ts";
import type { SequenceSet } from "./sequence.ts";

export type StatusItem =
  | "MESSAGES"
  | "UIDNEXT"
  | "UIDVALIDITY"
  | "UNSEEN"
  | "RECENT"
  | "DELETED"
  | "SIZE"
  | "HIGHESTMODSEQ"
  | "MAILBOXID";

/** What the client remembers of a mailbox (RFC 7162 §3.2.5). */
export interface QuickResync {
  readonly uidValidity: number;
  readonly modSeq: number;
  readonly knownUids?: SequenceSet;
}

export interface SelectCommand {
  readonly name: "SELECT" | "EXAMINE";
  /** In every command: as on the wire; its spelling depends on the session (UTF-8 or UTF-7). */
  readonly mailbox: string;
  readonly condStore: boolean;
  readonly resync?: QuickResync;
}

export interface ListCommand {
  readonly name: "LIST";
  readonly reference: string;
  readonly patterns: readonly string[];
  readonly select: {
    readonly subscribed: boolean;
    readonly specialUse: boolean;
    readonly recursive: boolean;
  };
  readonly give: {
    readonly subscribed: boolean;
    readonly children: boolean;
    readonly status: readonly StatusItem[];
  };
}

export interface AppendCommand {
  readonly name: "APPEND";
  readonly mailbox: string;
  readonly flags: readonly string[];
  /** `17-Jul-1996 02:44:25 -0700`, not yet read. */
  readonly internalDate?: string;
  /** The message stands in `UTF8 (~{n}` … `)` (RFC 6855 §4). */
  readonly utf8: boolean;
}

export interface FetchCommand {
  readonly name: "FETCH";
  readonly uid: boolean;
  readonly set: SequenceSet;
  readonly items: readonly FetchItem[];
  readonly changedSince?: number;
  readonly vanished: boolean;
}

export interface StoreCommand {
  readonly name: "STORE";
  readonly uid: boolean;
  readonly set: SequenceSet;
  readonly mode: "add" | "remove" | "replace";
  readonly silent: boolean;
  readonly flags: readonly string[];
  readonly unchangedSince?: number;
}

export type SearchReturn = "MIN" | "MAX" | "ALL" | "COUNT" | "SAVE";

export interface SearchCommand {
  readonly name: "SEARCH";
  readonly uid: boolean;
  /** Absent without RETURN: the untagged SEARCH of RFC 3501, or ALL in rev2. */
  readonly give?: readonly SearchReturn[];
  readonly charset?: string;
  readonly key: SearchKey;
}

export interface CopyCommand {
  readonly name: "COPY" | "MOVE";
  readonly uid: boolean;
  readonly set: SequenceSet;
  readonly mailbox: string;
}

/** Commands whose arguments, if they have any, tell us nothing. */
export interface PlainCommand {
  readonly name:
    | "CAPABILITY"
    | "NOOP"
    | "LOGOUT"
    | "NAMESPACE"
    | "CHECK"
    | "CLOSE"
    | "UNSELECT"
    | "IDLE"
    | "ID"
    | "STARTTLS";
}

export type Command =
  | PlainCommand
  | { readonly name: "ENABLE"; readonly capabilities: readonly string[] }
  | { readonly name: "LOGIN"; readonly user: string; readonly password: string }
  | {
      readonly name: "AUTHENTICATE";
      readonly mechanism: string;
      /** SASL-IR (RFC 4959): base64, or "=" for an empty one. */
      readonly initial?: string;
    }
  | SelectCommand
  | {
      readonly name: "CREATE" | "DELETE" | "SUBSCRIBE" | "UNSUBSCRIBE";
      readonly mailbox: string;
    }
  | { readonly name: "RENAME"; readonly mailbox: string; readonly to: string }
  | ListCommand
  | { readonly name: "LSUB"; readonly reference: string; readonly pattern: string }
  | {
      readonly name: "STATUS";
      readonly mailbox: string;
      readonly items: readonly StatusItem[];
    }
  | AppendCommand
  | { readonly name: "EXPUNGE"; readonly set?: SequenceSet }
  | FetchCommand
  | StoreCommand
  | SearchCommand
  | CopyCommand;

export type CommandName = Command["name"];
