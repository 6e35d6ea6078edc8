/** Takes reports out of mail to their address, after it is kept: one at a time, aside, bounded. */

import type { Clock } from "#base/clock";
import { TokenBucket } from "#base/limits";
import type { Store } from "#contracts/store";
import type { MessageId } from "#model/mailbox";
import type { Book } from "./book.ts";
import type { ReportEvents } from "./events.ts";
import { findVerdict, isSame, type SeenMessage } from "./evidence.ts";
import { OneByOne } from "./one-by-one.ts";
import { readAside } from "./read-aside.ts";
import { keepAggregate, keepFeedback, noteUnread, type Origin } from "./received.ts";
import { keepTls } from "./received-tls.ts";

export interface ReceivePorts {
  readonly book: Book;
  readonly store: Pick<Store, "messages">;
  /** Where reports come in. */
  readonly address: string;
  readonly clock: Clock;
  readonly events: ReportEvents;
}

export interface Imported {
  /** Reports that were not there. */
  readonly kept: number;
  readonly known: number;
  readonly faults: readonly string[];
}

/** What nobody could read by hand either. */
const maxBytes = 8 * 1024 * 1024;
/**
 * Each may cost seconds of one processor: two a minute on average, more at once after midnight. What
 * nobody vouches for does not use up the room of the others.
 */
const perSecond = 1 / 30;
const atOnce = 500;

interface Waiting extends Origin {
  readonly id: MessageId;
}

export class Receiver {
  readonly #ports: ReceivePorts;
  readonly #verifiedRoom: TokenBucket;
  readonly #unverifiedRoom: TokenBucket;
  readonly #reading: OneByOne<Waiting>;

  constructor(ports: ReceivePorts) {
    this.#ports = ports;
    this.#verifiedRoom = new TokenBucket(ports.clock, perSecond, atOnce);
    this.#unverifiedRoom = new TokenBucket(ports.clock, perSecond, atOnce);
    this.#reading = new OneByOne(
      (waiting) => this.#read(waiting),
      (error) => ports.events.failed("reading a report", error),
    );
  }

  /** Is it for us alone? Then it is no mail that is reported on: two servers would never end. */
  isReportMail({ recipients }: SeenMessage): boolean {
    const { address } = this.#ports;
    return recipients.length > 0 && recipients.every((path) => isSame(path, address));
  }

  note(seen: SeenMessage): void {
    const { kept: id, atMs, recipients, verdicts } = seen;
    const { address } = this.#ports;
    if (id === undefined || !recipients.some((path) => isSame(path, address))) return;
    const dmarc = findVerdict(verdicts, "dmarc");
    const reporter = dmarc?.result === "pass" ? dmarc.fromDomain : "";
    const room = reporter === "" ? this.#unverifiedRoom : this.#verifiedRoom;
    if (!room.take()) return this.#unread("too-many", atMs);
    this.#reading.add({ id, atMs, reporter });
  }

  /** @param octets a mail or a file that an administrator has */
  async take(octets: Uint8Array, origin: Origin): Promise<Imported> {
    const { book, events } = this.#ports;
    const found = await readAside(octets);
    let kept = 0;
    for (const report of found.aggregates) {
      if (!keepAggregate(book, report, origin)) continue;
      kept += 1;
      events.received("aggregate", origin.reporter !== "");
    }
    for (const feedback of found.feedbacks) {
      keepFeedback(book, feedback, origin);
      kept += 1;
      events.received("failure", origin.reporter !== "");
    }
    for (const report of found.tls) {
      if (!keepTls(book, report, origin)) continue;
      kept += 1;
      events.received("tls", origin.reporter !== "");
    }
    const all = found.aggregates.length + found.feedbacks.length + found.tls.length;
    return { kept, known: all - kept, faults: found.faults };
  }

  stop(): Promise<void> {
    return this.#reading.stop();
  }

  async #read(waiting: Waiting): Promise<void> {
    const { messages } = this.#ports.store;
    const sizeBytes = (await messages.sizeBytes(waiting.id)) ?? 0;
    if (sizeBytes > maxBytes) return this.#unread("too-large", waiting.atMs);
    const { faults } = await this.take(await messages.read(waiting.id), waiting);
    for (const fault of faults) this.#unread(fault, waiting.atMs);
  }

  #unread(why: string, atMs: number): void {
    const { book, events } = this.#ports;
    events.unread(why);
    try {
      noteUnread(book, why, atMs);
    } catch (error) {
      events.failed("counting what could not be read", error);
    }
  }
}
