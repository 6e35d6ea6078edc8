/**
 * Blobs (RFC 8620 §6): whole messages "M…", decoded parts "P…_1_2", and uploads "U…".
 * Uploads live in memory, bounded per account, in all and in time; the rest is read from the store.
 */

import { Buffer } from "node:buffer";
import type { Clock, Timer } from "#base/clock";
import type { Random } from "#base/random";
import type { Store } from "#contracts/store";
import { decodeBody } from "#formats/mime";
import type { MimePart } from "#model/description";
import type { AccountId, MessageId } from "#model/mailbox";
import { uploadBytes, uploadBytesInAll, uploadMs } from "./limits.ts";

export interface Blob {
  readonly octets: Buffer;
  readonly type: string;
}

export interface Blobs {
  /** Undefined when the account has no room for it. */
  put(account: AccountId, octets: Buffer, type: string): string | undefined;
  /** Undefined when there is none that the account may read. */
  get(account: AccountId, blobId: string): Promise<Blob | undefined>;
}

export interface BlobName {
  readonly message: MessageId;
  /** Section number of a part; undefined for the whole message. */
  readonly section?: string;
}

export function messageBlobId(message: MessageId): string {
  return `M${message}`;
}

export function partBlobId(message: MessageId, part: MimePart): string {
  return `P${message}_${part.section.replaceAll(".", "_")}`;
}

export function parseBlobId(blobId: string): BlobName | undefined {
  const found = /^(?:M([0-9a-f]{32})|P([0-9a-f]{32})_(\d{1,4}(?:_\d{1,4}){0,60}))$/.exec(blobId);
  if (found === null) return undefined;
  if (found[1] !== undefined) return { message: found[1] };
  return { message: found[2] ?? "", section: (found[3] ?? "").replaceAll("_", ".") };
}

/** The leaf with that section number, in messages inside messages too. */
export function partAt(root: MimePart, section: string): MimePart | undefined {
  if (root.section === section && root.type !== "multipart") return root;
  for (const part of root.parts) {
    const found = partAt(part, section);
    if (found !== undefined) return found;
  }
  return root.message === undefined ? undefined : partAt(root.message.root, section);
}

interface Upload extends Blob {
  readonly account: AccountId;
  readonly timer: Timer;
}

export function keepBlobs(store: Store, clock: Clock, random: Random): Blobs {
  const uploads = new Map<string, Upload>();
  const used = new Map<AccountId, number>();
  let inAll = 0;

  const drop = (id: string): void => {
    const one = uploads.get(id);
    if (one === undefined) return;
    one.timer.cancel();
    uploads.delete(id);
    inAll -= one.octets.length;
    const left = (used.get(one.account) ?? 0) - one.octets.length;
    if (left > 0) used.set(one.account, left);
    else used.delete(one.account);
  };
  return {
    put(account, octets, type) {
      if (octets.length > uploadBytes) return undefined;
      for (const [id, one] of uploads) {
        const fits = (used.get(account) ?? 0) + octets.length <= uploadBytes;
        if (fits) break;
        if (one.account === account) drop(id); // the oldest give way (RFC 8620 §6.1 allows it)
      }
      if (inAll + octets.length > uploadBytesInAll) return undefined;
      const id = `U${random.bytes(16).toString("hex")}`;
      const timer = clock.after(uploadMs, () => drop(id));
      uploads.set(id, { account, octets, type, timer });
      used.set(account, (used.get(account) ?? 0) + octets.length);
      inAll += octets.length;
      return id;
    },
    async get(account, blobId) {
      const upload = uploads.get(blobId);
      if (upload !== undefined) return upload.account === account ? upload : undefined;
      const name = parseBlobId(blobId);
      if (name === undefined) return undefined;
      const entries = await store.mailboxes.entriesOf(account, [name.message]);
      return entries.length === 0 ? undefined : await readBlob(store, name);
    },
  };
}

async function readBlob(store: Store, name: BlobName): Promise<Blob | undefined> {
  if (name.section === undefined) {
    return { octets: await store.messages.read(name.message), type: "message/rfc822" };
  }
  const { root } = await store.messages.describe(name.message);
  const part = partAt(root, name.section);
  if (part === undefined) return undefined;
  const octets = await store.messages.read(name.message, part.bodyStart, part.bodyEnd);
  return { octets: decodeBody(octets, part.encoding), type: `${part.type}/${part.subtype}` };
}
