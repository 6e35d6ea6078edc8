/** Lanes: the mail for one place, which shares its connections, its pace and its fate. */

import type { QueuePlace } from "#contracts/store";
import type { OutboundConnector } from "#model/connector";
import type { QueueItem } from "#model/queue";
import type { LastWords, Letter } from "./attempt.ts";
import type { HostHealth } from "./health.ts";

/** A recipient domain with something that waits. */
export interface Target {
  readonly domain: string;
  /** Moment at which it stands in the agenda; absent: nothing of it waits for a moment. */
  dueAtMs?: number;
  /** The lane in which it is due. */
  lane?: Lane;
  /** Where reading goes on while some of what was read is under way. */
  read?: QueuePlace;
  /** Jobs that have items of it. */
  open: number;
  /** Something came since it was read last. */
  hasNews: boolean;
}

/** First messages to a place go over so few connections. */
const firstConnections = 2;
/** A place that says it is crowded is left alone for so long before the next connection. */
const crowdedMs = 30_000;
const minuteMs = 60_000;

export class Lane {
  readonly key: string;
  readonly connector: OutboundConnector;
  /** Of the connector's hosts; absent: it has none, and the MX is asked. */
  readonly health: HostHealth | undefined;
  /** The MX is asked though the connector has hosts: they are lost. */
  readonly isDirect: boolean;
  /** In the order of their turns. */
  readonly due: Set<Target> = new Set();
  /** Of those, what has just come: it need not stand behind all that waits. */
  readonly fresh: Set<Target> = new Set();
  /** Jobs under way. */
  open = 0;
  /** Times in a row that nobody listened. */
  failures = 0;
  /** Nobody listened in time when it was asked last. */
  isSilent = false;
  /** An administrator wants it to be asked at once. */
  isWanted = false;
  /**
   * It rests as its TLS is not what the world's policies demand. Mail that the sender allows to go
   * without ("TLS-Required: No") may go all the same, and says nothing of the place.
   */
  isBarred = false;
  /** Something that is due was not looked through for such mail; and where looking goes on. */
  hasUnseen = false;
  seenUpTo: QueuePlace | undefined;
  /** The moment for which it stands in the agenda. */
  notedUntilMs = 0;
  /** What was said when nobody listened. */
  last: (LastWords & { readonly atMs: number }) | undefined;
  #pause: Rest = { untilMs: 0, why: "" };
  /** Nobody listened. */
  #dead: Rest = { untilMs: 0, why: "" };
  #limit: number;
  /** When messages began, of the last minute. */
  readonly #begun: number[] = [];

  constructor(
    key: string,
    connector: OutboundConnector,
    { health, isDirect }: { readonly health?: HostHealth; readonly isDirect: boolean },
  ) {
    this.key = key;
    this.connector = connector;
    this.health = health;
    this.isDirect = isDirect;
    this.#limit = Math.min(firstConnections, connector.connections);
  }

  /** Nothing begins before. */
  get restsUntilMs(): number {
    return this.isBarred && this.hasUnseen ? this.#pause.untilMs : this.rest.untilMs;
  }

  /** The usual mail's. */
  get rest(): Rest {
    return this.#dead.untilMs > this.#pause.untilMs ? this.#dead : this.#pause;
  }

  get isNoted(): boolean {
    return this.notedUntilMs === this.restsUntilMs;
  }

  /** Only mail for this domain goes by it. */
  get domain(): string | undefined {
    return this.health === undefined || this.isDirect ? this.key.split(" ").at(-1) : undefined;
  }

  get isDead(): boolean {
    return this.failures > 0;
  }

  /** It may hold only one of the connections that there are for the silent. */
  get isDoubtful(): boolean {
    return !this.isWanted && (this.isDead || this.isSilent);
  }

  mayBegin(nowMs: number): boolean {
    if (this.due.size === 0 || nowMs < this.restsUntilMs) return false;
    // Of a place that was dead one message finds out whether it still is.
    return this.open < (this.isDead || this.isSilent ? 1 : Math.floor(this.#limit));
  }

  /** Messages that may begin now. */
  allowance(nowMs: number): number {
    const { messagesPerMinute } = this.connector;
    if (messagesPerMinute === 0) return Number.POSITIVE_INFINITY;
    while ((this.#begun[0] ?? nowMs) <= nowMs - minuteMs) this.#begun.shift();
    return messagesPerMinute - this.#begun.length;
  }

  began(messages: number, nowMs: number): void {
    if (this.connector.messagesPerMinute === 0) return;
    for (let count = 0; count < messages; count += 1) this.#begun.push(nowMs);
    const first = this.#begun[0];
    if (first === undefined || this.allowance(nowMs) > 0) return;
    this.pause(first + minuteMs, "as many messages as its connector allows went in this minute");
  }

  pause(untilMs: number, why: string): void {
    if (untilMs > this.#pause.untilMs) this.#pause = { untilMs, why };
  }

  /** One more connection when all of them went well, half as many when the place is crowded. */
  ended({ opened, isCrowded }: { opened: boolean; isCrowded: boolean }, nowMs: number): void {
    if (isCrowded) {
      this.#limit = Math.max(1, this.#limit / 2);
      this.pause(nowMs + crowdedMs, "the server said that it has too many connections");
    } else if (opened) {
      this.#limit = Math.min(this.connector.connections, this.#limit + 1 / Math.floor(this.#limit));
    }
  }

  listened(): void {
    this.failures = 0;
    this.last = undefined;
    this.isBarred = false;
  }

  /** Nobody listened. Of tries at the same time the first tells as much as all. */
  failed(words: LastWords, nowMs: number, waitMs: number): void {
    if (nowMs < this.#dead.untilMs) return;
    const why = `${words.remote}: ${[words.reply.text].flat().join(" ")}`;
    this.#dead = { untilMs: nowMs + waitMs, why };
    this.failures += 1;
    this.last = { ...words, atMs: nowMs };
    this.isBarred = words.isTls === true && this.mayBeBarred;
    this.hasUnseen = this.isBarred;
    this.seenUpTo = undefined;
  }

  /** What an administrator demands holds for all mail. */
  get mayBeBarred(): boolean {
    return this.health === undefined && this.connector.tls.level === "opportunistic";
  }

  /** Something waits for that moment that was not looked through. */
  came(dueAtMs: number): void {
    if (!this.isBarred) return;
    this.hasUnseen = true;
    const isBefore = this.seenUpTo !== undefined && dueAtMs <= this.seenUpTo.nextAttemptAtMs;
    if (isBefore) this.seenUpTo = { nextAttemptAtMs: dueAtMs, queuedAtMs: 0, id: "" };
  }

  lookNow(nowMs: number): void {
    if (!this.isDead) return;
    this.#dead = { ...this.#dead, untilMs: Math.min(this.#dead.untilMs, nowMs) };
    this.#pause = { ...this.#pause, untilMs: Math.min(this.#pause.untilMs, nowMs) };
  }
}

interface Rest {
  readonly untilMs: number;
  /** For an administrator and for notices. */
  readonly why: string;
}

/** Items of one message together, as many as one transaction may have. */
export function lettersOf(items: readonly QueueItem[], maxRecipients: number): Letter[] {
  const letters: Letter[] = [];
  for (const ofMessage of Map.groupBy(items, ({ message }) => message).values()) {
    for (let at = 0; at < ofMessage.length; at += maxRecipients) {
      letters.push(ofMessage.slice(at, at + maxRecipients));
    }
  }
  return letters;
}
