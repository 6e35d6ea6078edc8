/** Whether a message is what SEARCH looks for: first by its entry, then its description, last its text. */

import { Unavailable } from "#base/errors";
import { decodeWords } from "#formats/encoded-word";
import type { SearchKey } from "#formats/imap";
import { parseHeader, valueOf } from "#formats/message";
import { textOf, walkParts } from "#formats/mime";
import type { Description, MailAddress, MimePart } from "#model/description";
import type { Entry } from "#model/mailbox";
import type { Talk } from "./context.ts";
import { numbersOf, type View } from "./view.ts";

/** `undefined` as an answer: the entry alone cannot tell. */
type Known = boolean | undefined;

const dayMs = 86_400_000;
/** Ours: of a larger message TEXT and BODY look at this much. */
const maxTextBytes = 8_388_608;

export class Matcher {
  readonly #talk: Talk;
  readonly #view: View;
  readonly #key: SearchKey;
  readonly #nowMs: number;
  readonly #sets: Map<SearchKey, ReadonlySet<number>> = new Map();

  constructor(talk: Talk, view: View, key: SearchKey) {
    this.#talk = talk;
    this.#view = view;
    this.#key = key;
    this.#nowMs = talk.shared.clock.nowMs();
  }

  matches(entry: Entry, seq: number): boolean | Promise<boolean> {
    return this.#byEntry(this.#key, entry, seq) ?? this.#byContent(this.#key, entry, seq);
  }

  #byEntry(key: SearchKey, entry: Entry, seq: number): Known {
    switch (key.key) {
      case "all":
        return true;
      case "recent":
        return this.#view.recent.has(entry.uid);
      case "old":
        return !this.#view.recent.has(entry.uid);
      case "new":
        return this.#view.recent.has(entry.uid) && !hasFlag(entry, "\\Seen");
      case "flag":
        return hasFlag(entry, key.flag) === key.present;
      case "set":
        return this.#setOf(key).has(seq);
      case "larger":
        return entry.sizeBytes > key.sizeBytes;
      case "smaller":
        return entry.sizeBytes < key.sizeBytes;
      case "received":
        return compareDay(entry.receivedAtMs, key.when, key.dayMs);
      case "older":
        return entry.receivedAtMs <= this.#nowMs - key.seconds * 1000;
      case "younger":
        return entry.receivedAtMs >= this.#nowMs - key.seconds * 1000;
      case "modseq":
        return entry.modSeq >= key.modSeq;
      case "emailid":
        return entry.message === key.id;
      case "threadid":
        return false;
      case "not": {
        const inner = this.#byEntry(key.of, entry, seq);
        return inner === undefined ? undefined : !inner;
      }
      case "and":
      case "or":
        return this.#combine(key, entry, seq);
      default:
        return undefined;
    }
  }

  #combine(key: SearchKey & { key: "and" | "or" }, entry: Entry, seq: number): Known {
    const decisive = key.key === "or";
    let known: Known = !decisive;
    for (const inner of key.of) {
      const answer = this.#byEntry(inner, entry, seq);
      if (answer === decisive) return decisive;
      if (answer === undefined) known = undefined;
    }
    return known;
  }

  async #byContent(key: SearchKey, entry: Entry, seq: number): Promise<boolean> {
    const known = this.#byEntry(key, entry, seq);
    if (known !== undefined) return known;
    switch (key.key) {
      case "not":
        return !(await this.#byContent(key.of, entry, seq));
      case "and":
      case "or": {
        const decisive = key.key === "or";
        for (const inner of key.of) {
          if ((await this.#byContent(inner, entry, seq)) === decisive) return decisive;
        }
        return !decisive;
      }
      default:
        return this.#inMessage(key, entry);
    }
  }

  async #inMessage(key: SearchKey, entry: Entry): Promise<boolean> {
    const { messages } = this.#talk.shared.store;
    const description = await messages.describe(entry.message);
    const { envelope } = description;
    switch (key.key) {
      case "subject":
        return holds(envelope.subject ?? "", key.text);
      case "from":
      case "to":
      case "cc":
      case "bcc":
        return envelope[key.key].some((address) => holds(addressText(address), key.text));
      case "sent":
        return compareDay(sentDay(envelope), key.when, key.dayMs);
      case "header":
        return this.#inHeader(entry, description, key.name, key.text);
      case "text":
      case "body":
        return this.#inText(entry, description, key);
      default:
        return false;
    }
  }

  async #inHeader(
    entry: Entry,
    { root }: Description,
    name: string,
    text: string,
  ): Promise<boolean> {
    const octets = await this.#talk.shared.store.messages.read(entry.message, 0, root.bodyStart);
    const header = parseHeader(octets);
    const key = name.toLowerCase();
    return header.fields.some(
      (field) => field.key === key && holds(decodeWords(valueOf(header, field)), text),
    );
  }

  /** TEXT looks at the header too; attachments other than text are not looked into. */
  async #inText(
    entry: Entry,
    description: Description,
    key: SearchKey & { key: "text" | "body" },
  ): Promise<boolean> {
    const { store, largeReads, limits } = this.#talk.shared;
    const end = Math.min(entry.sizeBytes, maxTextBytes);
    const look = async (): Promise<boolean> => {
      const octets = await store.messages.read(entry.message, 0, end);
      if (key.key === "text") {
        const head = octets.toString("utf8", 0, description.root.bodyStart);
        if (holds(head, key.text) || holds(decodeWords(head), key.text)) return true;
      }
      for (const part of partsOf(description.root)) {
        if (part.type === "text" && part.bodyStart < end) {
          if (holds(textOf(octets, part), key.text)) return true;
        }
      }
      return false;
    };
    if (end <= limits.streamAboveBytes) return look();
    const found = await largeReads.run(look);
    if (found === undefined) throw new Unavailable("too many large messages are being read");
    return found;
  }

  #setOf(key: SearchKey & { key: "set" }): ReadonlySet<number> {
    let set = this.#sets.get(key);
    if (set === undefined) {
      set = new Set(numbersOf(this.#view.resolve(key.set, key.uid) ?? []));
      this.#sets.set(key, set);
    }
    return set;
  }
}

/** Also those of messages inside. */
function* partsOf(root: MimePart): Generator<MimePart> {
  for (const part of walkParts(root)) {
    yield part;
    if (part.message !== undefined) yield* partsOf(part.message.root);
  }
}

function hasFlag({ flags }: Entry, flag: string): boolean {
  if (flags.includes(flag)) return true;
  const lower = flag.toLowerCase();
  return flags.some((one) => one.length === flag.length && one.toLowerCase() === lower);
}

/** Days are those of UTC, as INTERNALDATE is given (RFC 9051 §6.4.4: time and zone do not count). */
function compareDay(atMs: number | null, when: "before" | "on" | "since", day: number): boolean {
  if (atMs === null) return false;
  if (when === "before") return atMs < day;
  return atMs >= day && (when === "since" || atMs < day + dayMs);
}

/** The day in the Date field's own zone. */
function sentDay(envelope: Description["envelope"]): number | null {
  if (envelope.sentAtMs === null) return null;
  const zone = /([+-])(\d\d)(\d\d)\s*(?:\(|$)/.exec(envelope.date ?? "");
  if (zone === null) return envelope.sentAtMs;
  const minutes = Number(zone[2]) * 60 + Number(zone[3]);
  return envelope.sentAtMs + (zone[1] === "-" ? -minutes : minutes) * 60_000;
}

function addressText({ name, email, group }: MailAddress): string {
  return `${group ?? ""} ${name ?? ""} <${email}>`;
}

/** Without case (RFC 9051 §6.4.4). */
function holds(text: string, sought: string): boolean {
  if (sought === "") return true;
  return text.toLowerCase().includes(sought.toLowerCase());
}
