/** What the web service needs of the rooms it joins: sessions and JMAP, each by its few calls. */

import type { Sessions } from "#access/sessions";
import type { Person } from "#contracts/directory";
import type { MessageId } from "#model/mailbox";

export type WebSessions = Pick<Sessions, "touch" | "peek">;

export interface WebDownload {
  readonly type: string;
  readonly sizeBytes: number;
  readonly octets: AsyncIterable<Buffer>;
}

export interface WebOutcome {
  readonly status: number;
  readonly body: unknown;
}

/** Somebody else was given one of the person's messages to read. */
export interface ShownRead {
  readonly atMs: number;
  readonly by: string;
  readonly reason: string;
  readonly message: MessageId;
  /** Null when there is none, or the message is gone for good. */
  readonly subject: string | null;
}

/** JMAP without its transport (RFC 8620). */
export interface WebJmap {
  /** @param baseUrl "https://mail.example.org", without a path */
  session(person: Person, baseUrl: string): Promise<unknown>;
  /** @param body octets of the request, or the request itself */
  api(person: Person, body: unknown, clientAddress: string): Promise<WebOutcome>;
  upload(
    person: Person,
    account: string,
    type: string,
    octets: AsyncIterable<Buffer>,
  ): Promise<WebOutcome>;
  download(person: Person, account: string, blobId: string): Promise<WebDownload | undefined>;
  /** Calls with each StateChange object (RFC 8620 §7.1); returns the way to stop. */
  watch(person: Person, listener: (change: unknown) => void): () => void;
}
