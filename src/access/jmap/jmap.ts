/** The JMAP door without its transport: who has signed in is known, HTTP is the caller's. */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { Gate } from "#base/limits";
import { type Log, silentLog } from "#base/log";
import type { Person } from "#contracts/directory";
import { decodeBody } from "#formats/mime";
import { keepBlobs, parseBlobId, partAt } from "./blobs.ts";
import type { Context, JmapDeps, Memory } from "./context.ts";
import { sortOptions } from "./email-query.ts";
import { keepJournals } from "./journal.ts";
import {
  coreLimits,
  maxAttachmentsPerEmail,
  maxBodyText,
  maxWaitingRequests,
  uploadBytes,
} from "./limits.ts";
import { core, mail, sending } from "./methods.ts";
import { type Problem, problem, readRequest, runRequest } from "./request.ts";
import { keepSubmissions } from "./submissions.ts";
import { keepThreads } from "./threads.ts";

export interface Uploaded {
  readonly accountId: string;
  readonly blobId: string;
  readonly type: string;
  readonly size: number;
}

/** Untrusted content: whoever serves it must say "attachment", nosniff and a sandbox. */
export interface Download {
  /** As the message or the uploader says; ASCII, "type/subtype". */
  readonly type: string;
  readonly sizeBytes: number;
  readonly stream: AsyncIterable<Buffer>;
}

/** RFC 8620 §7.1. */
export interface StateChange {
  readonly "@type": "StateChange";
  readonly changed: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export interface Jmap {
  /** @param baseUrl "https://mail.example.com/jmap", without a slash at its end */
  session(person: Person, baseUrl: string): object;
  /**
   * @param body the request's octets, or JSON already parsed
   * @returns a Response object, or a Problem (see isProblem) to be sent with its status
   */
  api(person: Person, body: unknown, clientAddress?: string): Promise<object>;
  /** Undefined when there is no such blob that this person may read. */
  download(person: Person, blobId: string): Promise<Download | undefined>;
  /** A Problem when it is too large or too many come at once. Reads no further than the limit. */
  upload(
    person: Person,
    type: string,
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<Uploaded | Problem>;
  /** Calls back after each change in the person's account. @returns the way to stop */
  changes(person: Person, listener: (change: StateChange) => void): () => void;
  close(): void;
}

export function createJmap(deps: JmapDeps, log: Log = silentLog): Jmap {
  const memory: Memory = {
    blobs: keepBlobs(deps.store, deps.clock, deps.random),
    journals: keepJournals(deps.store),
    threads: keepThreads(deps.store),
    submissions: keepSubmissions(),
  };
  const requests = gates(coreLimits.maxConcurrentRequests, maxWaitingRequests);
  const uploads = gates(coreLimits.maxConcurrentUpload, 0);
  const onFault = (error: unknown): void => {
    log.write("error", "jmap.call-failed", { why: String(error) });
  };
  return {
    session: sessionObject,
    async api(person, body, clientAddress = "") {
      const answer = await requests(person.id, async () => {
        const request = readRequest(body);
        if (!("calls" in request)) return request;
        const created = new Map(request.createdIds);
        const context: Context = {
          ...deps,
          ...memory,
          person,
          account: person.id,
          clientAddress,
          created,
          text: { left: maxBodyText },
        };
        await memory.journals.of(person.id); // from now on, so that states given out can be asked about
        return {
          methodResponses: await runRequest(context, request, onFault),
          ...(request.createdIds && { createdIds: Object.fromEntries(created) }),
          sessionState: sessionState(person),
        };
      });
      return answer ?? problem("limit", "Too many requests at once.", "maxConcurrentRequests");
    },
    download: (person, blobId) => openBlob(deps, memory, person, blobId),
    async upload(person, type, chunks) {
      const answer = await uploads(person.id, () => keepUpload(memory, person, type, chunks));
      return answer ?? problem("limit", "Too many uploads at once.", "maxConcurrentUpload");
    },
    changes(person, listener) {
      return memory.journals.onChange(person.id, (modSeq) => {
        const state = String(modSeq);
        const changed = { [person.id]: { Email: state, Mailbox: state, Thread: state } };
        listener({ "@type": "StateChange", changed });
      });
    },
    close: () => memory.journals.close(),
  };
}

/** One gate an account, while it is used. */
function gates(
  width: number,
  depth: number,
): <Value>(key: string, work: () => Promise<Value>) => Promise<Value | undefined> {
  const open = new Map<string, { gate: Gate; users: number }>();
  return async (key, work) => {
    const one = open.get(key) ?? { gate: new Gate(width, depth), users: 0 };
    open.set(key, one);
    one.users += 1;
    try {
      return await one.gate.run(work);
    } finally {
      one.users -= 1;
      if (one.users === 0) open.delete(key);
    }
  };
}

async function keepUpload(
  memory: Memory,
  person: Person,
  type: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<Uploaded | Problem> {
  const octets = await gather(chunks);
  if (octets === undefined) return problem("limit", "The upload is too large.", "maxSizeUpload");
  const clean = /^[A-Za-z0-9!#$&^_.+-]{1,100}\/[A-Za-z0-9!#$&^_.+-]{1,100}/.exec(type)?.[0];
  const kind = clean?.toLowerCase() ?? "application/octet-stream";
  const blobId = memory.blobs.put(person.id, octets, kind);
  if (blobId === undefined) return problem("limit", "There is no room now.", "maxSizeUpload");
  return { accountId: person.id, blobId, type: kind, size: octets.length };
}

async function gather(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<Buffer | undefined> {
  const kept: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > uploadBytes) return undefined;
    kept.push(chunk);
  }
  return Buffer.concat(kept);
}

async function openBlob(
  deps: JmapDeps,
  memory: Memory,
  person: Person,
  blobId: string,
): Promise<Download | undefined> {
  const once = async function* (octets: Buffer): AsyncGenerator<Buffer> {
    yield octets;
  };
  const name = parseBlobId(blobId);
  if (name === undefined) {
    const blob = await memory.blobs.get(person.id, blobId);
    return blob && { type: blob.type, sizeBytes: blob.octets.length, stream: once(blob.octets) };
  }
  const { mailboxes, messages } = deps.store;
  if ((await mailboxes.entriesOf(person.id, [name.message])).length === 0) return undefined;
  if (name.section === undefined) {
    const sizeBytes = (await messages.sizeBytes(name.message)) ?? 0;
    return { type: "message/rfc822", sizeBytes, stream: messages.stream(name.message) };
  }
  const part = partAt((await messages.describe(name.message)).root, name.section);
  if (part === undefined) return undefined;
  const type = `${part.type}/${part.subtype}`;
  const { bodyStart, bodyEnd, encoding } = part;
  if (encoding !== "base64" && encoding !== "quoted-printable") {
    const stream = messages.stream(name.message, bodyStart, bodyEnd);
    return { type, sizeBytes: bodyEnd - bodyStart, stream };
  }
  const octets = decodeBody(await messages.read(name.message, bodyStart, bodyEnd), encoding);
  return { type, sizeBytes: octets.length, stream: once(octets) };
}

function sessionState(person: Person): string {
  const facts = [person.id, person.address, person.displayName].join("\n");
  return createHash("sha256").update(facts).digest("hex").slice(0, 16);
}

/** RFC 8620 §2. */
function sessionObject(person: Person, baseUrl: string): object {
  const capabilities = { [mail]: mailCapability, [sending]: sendingCapability };
  return {
    capabilities: {
      [core]: { ...coreLimits, collationAlgorithms: ["i;unicode-casemap"] },
      [mail]: {},
      [sending]: {},
    },
    accounts: {
      [person.id]: {
        name: person.address,
        isPersonal: true,
        isReadOnly: false,
        accountCapabilities: capabilities,
      },
    },
    primaryAccounts: { [mail]: person.id, [sending]: person.id },
    username: person.address,
    apiUrl: `${baseUrl}/api`,
    downloadUrl: `${baseUrl}/download/{accountId}/{blobId}/{name}?accept={type}`,
    uploadUrl: `${baseUrl}/upload/{accountId}`,
    eventSourceUrl: `${baseUrl}/events?types={types}&closeafter={closeafter}&ping={ping}`,
    state: sessionState(person),
  };
}

const mailCapability = {
  maxMailboxesPerEmail: 50,
  maxMailboxDepth: 20,
  maxSizeMailboxName: 200,
  maxSizeAttachmentsPerEmail: maxAttachmentsPerEmail,
  emailQuerySortOptions: sortOptions,
  mayCreateTopLevelMailbox: true,
};

const sendingCapability = { maxDelayedSend: 0, submissionExtensions: {} };
