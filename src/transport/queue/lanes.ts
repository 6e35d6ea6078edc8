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
  /** Nothing begins before. */
  restsUntilMs = 0;
  /** The moment for which it stands in the agenda. */
  notedUntilMs = 0;
  /** Why, for an administrator and for notices. */
  why = "";
  /** What was said when nobody listened. */
  last: (LastWords & { readonly atMs: number }) | undefined;
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

  mayBegin(nowMs: number): boolean {
    if (this.due.size === 0 || nowMs < this.restsUntilMs) return false;
    // Of a place that was dead one message finds out whether it still is.
    return this.open < (this.isDead ? 1 : Math.floor(this.#limit));
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
    this.rest(first + minuteMs, "as many messages as its connector allows went in this minute");
  }

  rest(untilMs: number, why: string): void {
    if (untilMs <= this.restsUntilMs) return;
    this.restsUntilMs = untilMs;
    this.why = why;
  }

  /** One more connection when all of them went well, half as many when the place is crowded. */
  ended({ opened, isCrowded }: { opened: boolean; isCrowded: boolean }, nowMs: number): void {
    if (isCrowded) {
      this.#limit = Math.max(1, this.#limit / 2);
      this.rest(nowMs + crowdedMs, "the server said that it has too many connections");
    } else if (opened) {
      this.#limit = Math.min(this.connector.connections, this.#limit + 1 / Math.floor(this.#limit));
    }
  }

  listened(): void {
    this.failures = 0;
    this.last = undefined;
  }
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
