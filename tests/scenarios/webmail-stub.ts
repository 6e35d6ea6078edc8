/** JMAP answered from memory: just what the webmail asks, for looking at it alone. */

import type { WebJmap } from "../../src/hub/web/ports.ts";

type Fields = Record<string, unknown>;

export interface StubMessage {
  readonly id: string;
  readonly from: string;
  readonly name: string;
  readonly subject: string;
  readonly text?: string;
  readonly html?: string;
  readonly senderState: string;
  /** What is known of the sender besides: properties of the Email as they are answered. */
  readonly sender?: Fields;
  readonly seen?: boolean;
  readonly attachment?: string;
  readonly box?: string;
  /** Older than the newest by so much. */
  readonly ageMs?: number;
}

/** As of a message whose sender was not looked at. */
const unknownSender: Fields = {
  ...{
    senderShown: null,
    senderState: "not-checked",
    senderOrigin: "unknown",
    senderPartner: null,
  },
  senderText: "Not checked: the sender was not looked at on arrival.",
  ...{ senderEvidence: [], senderChecks: [], spamLevel: null, spamReasons: [] },
  "header:Return-Path:asText:all": [],
};

const texts: Readonly<Record<string, (domain: string) => string>> = {
  verified: (domain) => `Sent by ${domain}.`,
  "verified-other": (domain) => `From ${domain} via mailer.example.`,
  internal: () => "Inside your organisation.",
  "not-verifiable": (domain) => `${domain} does not let us check senders.`,
  "not-checked": () => "Not checked: DNS did not answer.",
  "not-verified": (domain) => `We could not confirm this came from ${domain}.`,
  forged: (domain) => `${domain} says this is not from them.`,
};

const boxes = ["inbox", "drafts", "sent", "archive", "junk", "trash"];
const startMs = Date.UTC(2026, 10, 21, 18, 30);

export interface StubJmap extends WebJmap {
  readonly emails: Map<string, Fields>;
  readonly submitted: string[];
  /** How often each method was called. */
  readonly calls: string[];
  deliver(message: StubMessage): void;
}

export function stubJmap(): StubJmap {
  const emails = new Map<string, Fields>();
  const submitted: string[] = [];
  const calls: string[] = [];
  const listeners = new Set<(change: unknown) => void>();
  const blobs = new Map<string, Buffer>();
  let made = 0;
  const changed = (): void => {
    for (const listener of listeners) listener({ "@type": "StateChange", changed: {} });
  };
  const inBox = (box: string): Fields[] =>
    [...emails.values()].filter((one) => (one["mailboxIds"] as Fields)[box] === true);

  const methods: Record<string, (args: Fields) => Fields> = {
    "Mailbox/get": () => ({
      list: boxes.map((role, index) => ({
        ...{ id: role, role, parentId: null, sortOrder: index },
        name: role[0]?.toUpperCase() + role.slice(1),
        totalEmails: inBox(role).length,
        unreadEmails: inBox(role).filter((one) => !(one["keywords"] as Fields)["$seen"]).length,
      })),
    }),
    "Identity/get": () => ({ list: [{ id: "i", name: "Ana Sample", email: "ana@example.org" }] }),
    "Email/query": ({ filter, position, limit }) => {
      const { inMailbox, text } = filter as { inMailbox: string; text?: string };
      const found = inBox(inMailbox)
        .filter((one) =>
          JSON.stringify(one)
            .toLowerCase()
            .includes((text ?? "").toLowerCase()),
        )
        .sort((one, other) => (String(one["receivedAt"]) < String(other["receivedAt"]) ? 1 : -1))
        .map((one) => one["id"]);
      const from = Number(position);
      return { ids: found.slice(from, from + Number(limit)), total: found.length };
    },
    "Email/get": ({ ids }) => ({
      list: (ids as string[]).flatMap((id) => {
        const found = emails.get(id);
        return found === undefined ? [] : { ...unknownSender, ...found };
      }),
    }),
    "Email/set": (args) => {
      const created: Fields = {};
      for (const [key, given] of Object.entries((args["create"] ?? {}) as Record<string, Fields>)) {
        const id = `c${made++}`;
        emails.set(id, {
          ...given,
          ...{ id, threadId: id, receivedAt: new Date(startMs + made * 1000).toISOString() },
          ...{ preview: "", hasAttachment: false, htmlBody: given["textBody"], replyTo: null },
        });
        created[key] = { id };
      }
      for (const [id, patch] of Object.entries((args["update"] ?? {}) as Record<string, Fields>)) {
        for (const [path, value] of Object.entries(patch)) {
          const [field = "", key = ""] = path.split("/");
          const { [key]: _, ...rest } = (emails.get(id)?.[field] ?? {}) as Fields;
          emails.set(id, {
            ...emails.get(id),
            [field]: value === null ? rest : { ...rest, [key]: value },
          });
        }
      }
      for (const id of (args["destroy"] ?? []) as string[]) emails.delete(id);
      setImmediate(changed);
      return { created };
    },
    "EmailSubmission/set": (args) => {
      const id = `c${made - 1}`;
      submitted.push(id);
      const update = (args["onSuccessUpdateEmail"] as Fields)["#sent"];
      methods["Email/set"]?.({ update: { [id]: update } });
      return { created: { sent: { id: `s${made}` } } };
    },
  };

  return {
    ...{ emails, submitted, calls },
    session: async (person) => ({
      username: person.address,
      accounts: { [person.id]: { name: person.address } },
      primaryAccounts: { "urn:ietf:params:jmap:mail": person.id },
      capabilities: {},
    }),
    async api(_person, body) {
      const { methodCalls } = (Buffer.isBuffer(body) ? JSON.parse(body.toString()) : body) as {
        methodCalls: [string, Fields, string][];
      };
      const done: [string, Fields, string][] = [];
      for (const [name, args, id] of methodCalls) {
        calls.push(name);
        const given = { ...args };
        if (given["#ids"] !== undefined) given["ids"] = done[0]?.[1]["ids"];
        done.push([name, methods[name]?.(given) ?? {}, id]);
      }
      return { status: 200, body: { methodResponses: done } };
    },
    async upload(_person, _account, type, octets) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of octets) chunks.push(chunk);
      const content = Buffer.concat(chunks);
      const blobId = `b${made++}`;
      blobs.set(blobId, content);
      return { status: 201, body: { blobId, type, size: content.length } };
    },
    async download(_person, _account, blobId) {
      const content = blobs.get(blobId) ?? Buffer.from("content");
      const octets = (async function* () {
        yield content;
      })();
      return { type: "application/pdf", sizeBytes: content.length, octets };
    },
    watch(_person, listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    deliver(message) {
      const { id, text, html, attachment, ageMs = emails.size * 5_000_000 } = message;
      const part = { partId: "1", blobId: "b", size: 1, name: null, cid: null, disposition: null };
      const attached = { ...part, partId: null, blobId: "att", size: 182_400, name: attachment };
      const addresses = { cc: null, bcc: null, replyTo: null, messageId: [`${id}@x`] };
      emails.set(id, {
        ...addresses,
        ...{ id, threadId: id, subject: message.subject, references: null, blobId: `m${id}` },
        mailboxIds: { [message.box ?? "inbox"]: true },
        keywords: message.seen ? { $seen: true } : {},
        from: [{ name: message.name, email: message.from }],
        to: [{ name: "Ana Sample", email: "ana@example.org" }],
        receivedAt: new Date(startMs - ageMs).toISOString(),
        sentAt: new Date(startMs - ageMs).toISOString(),
        preview: (text ?? "A message with pictures and tables").slice(0, 160),
        hasAttachment: attachment !== undefined,
        ...{ senderShown: message.from, senderState: message.senderState },
        senderText: texts[message.senderState]?.(message.from.split("@")[1] ?? ""),
        ...message.sender,
        attachments: attachment === undefined ? [] : [{ ...attached, type: "application/pdf" }],
        textBody: [{ ...part, type: html === undefined ? "text/plain" : "text/html" }],
        htmlBody: [{ ...part, type: html === undefined ? "text/plain" : "text/html" }],
        bodyValues: { 1: { value: html ?? text ?? "" } },
      });
      changed();
    },
  };
}
