/**
 * DMARC and TLS reports in the running system: evidence of what came and of how sessions went is
 * counted and reported to the owners of domains once a day (RFC 9990, RFC 8460), failures at once
 * where wanted (RFC 9991), reports of others are read, kept and asked about.
 */

import { join } from "node:path";
import type { Duplex } from "node:stream";
import type { Clock, Timer } from "#base/clock";
import type { Resolver } from "#base/dns";
import { Misconfigured } from "#base/errors";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { Endpoint } from "#base/net";
import type { Random } from "#base/random";
import type { Refusal, Store } from "#contracts/store";
import type { TlsEvidence } from "#transport/tls-policy";
import type { OwnMail } from "../outgoing.ts";
import { type Book, dayOf, openBook } from "./book.ts";
import { type ReportEvents, reportEvents } from "./events.ts";
import { evidenceOf, type SeenMessage } from "./evidence.ts";
import { Failures } from "./failures.ts";
import { postReport } from "./post-report.ts";
import {
  type DomainSummary,
  type FeedbackRow,
  feedbackReports,
  type OwnSource,
  ownSources,
  type ReceivedFilter,
  type ReceivedRow,
  receivedReport,
  receivedReports,
  type SentRow,
  type ShownReport,
  sentReports,
  summaries,
  type UnreadRow,
  unreadMail,
  unverifiedReports,
} from "./queries.ts";
import { type Imported, Receiver } from "./receive.ts";
import { keepAggregate, prune } from "./received.ts";
import { type TlsSummary, tlsSummaries } from "./received-tls.ts";
import { type RoundResult, Rounds } from "./rounds.ts";
import { Seen } from "./seen-rows.ts";
import { AggregateReporter, type AggregateRow } from "./send-aggregate.ts";
import { TlsReporter, type TlsRow } from "./send-tls.ts";
import type { ReportSettings } from "./settings.ts";

export type { SeenMessage } from "./evidence.ts";
export type { OwnSource, ReceivedFilter, ReceivedRow, SentRow, ShownReport } from "./queries.ts";
export type { TlsSummary } from "./received-tls.ts";
export { completeReportSettings, type ReportSettings, reportParameters } from "./settings.ts";

export type Judged = Pick<SeenMessage, "verdicts" | "source" | "decision">;

/** Told of every message that was judged; costs next to nothing, never throws. */
export interface ReportCollector {
  note(seen: SeenMessage): void;
  /** What an edge turned away when its content was judged. */
  refused(refusal: Refusal, judged: Judged): void;
}

export interface Received {
  readonly reports: readonly ReceivedRow[];
  readonly failures: readonly FeedbackRow[];
}

export interface Overview {
  readonly domains: readonly DomainSummary[];
  /** Aggregate reports that nobody vouches for: kept and shown, not counted. */
  readonly unverified: number;
  readonly unread: readonly UnreadRow[];
  /** TLS to our domains, as senders saw it. */
  readonly tls: readonly TlsSummary[];
}

export interface Reports extends ReportCollector, AsyncDisposable {
  /** How TLS went with a server of others; costs next to nothing, never throws. */
  noteTls(evidence: TlsEvidence): void;
  /** From now on reports can leave. */
  begin(ways: ReportWays): void;
  overview(sinceMs: number, domain?: string): Overview;
  received(filter: ReceivedFilter): Received;
  show(id: number, limit: number): ShownReport | undefined;
  sent(filter: { readonly domain?: string; readonly limit: number }): readonly SentRow[];
  ownSources(domain: string, sinceMs: number): readonly OwnSource[];
  /** @param octets a mail or a file that an administrator has */
  take(octets: Uint8Array): Promise<Imported>;
  /**
   * Reports what was seen until now, the day that is not over included.
   *
   * @throws Misconfigured where sending is off, or a DKIM key is missing
   */
  sendNow(): Promise<RoundResult>;
}

export interface ReportWays {
  readonly resolver: Pick<Resolver, "query">;
  readonly sendOwn: (own: OwnMail) => Promise<void>;
  /** For those who take reports by HTTPS. */
  readonly dial: (to: Endpoint, timeoutMs: number) => Promise<Duplex>;
}

export interface ReportPorts {
  /** The hub's own. */
  readonly folder: string;
  readonly settings: ReportSettings;
  readonly store: Pick<Store, "messages">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly registry: Registry;
}

/** A crash loses what was seen since. */
const flushMs = 3000;
const pruneMs = 3_600_000;

export function openReports(ports: ReportPorts): Reports {
  const events = reportEvents(ports.log, ports.registry);
  const book = openBook(join(ports.folder, "reports.sqlite"), ports.clock.nowMs(), events);
  return new Room(ports, book, events);
}

class Room implements Reports {
  readonly #ports: ReportPorts;
  readonly #book: Book;
  readonly #events: ReportEvents;
  readonly #seen: Seen<AggregateRow>;
  readonly #tlsSeen: Seen<TlsRow>;
  readonly #receiver: Receiver;
  #rounds: Rounds | undefined;
  #failures: Failures | undefined;
  #flushing: Timer | undefined;
  #pruning: Timer;

  constructor(ports: ReportPorts, book: Book, events: ReportEvents) {
    this.#ports = ports;
    this.#book = book;
    this.#events = events;
    this.#seen = new Seen(book, "dmarc", events);
    this.#tlsSeen = new Seen(book, "tls", events);
    const { address } = ports.settings;
    this.#receiver = new Receiver({ ...ports, book, address, events });
    this.#pruning = ports.clock.after(pruneMs, () => this.#prune());
  }

  begin({ resolver: { query }, sendOwn, dial }: ReportWays): void {
    const { settings, clock } = this.#ports;
    const common = { ...this.#ports, book: this.#book, events: this.#events, sendOwn };
    const resolver: Resolver = { query, cached: () => undefined };
    if (settings.failure === "headers") this.#failures = new Failures({ ...common, resolver });
    if (!settings.send) return;
    const aggregate = new AggregateReporter({
      ...common,
      resolver,
      seen: this.#seen,
      keepOwn: (report) => {
        keepAggregate(this.#book, report, { atMs: clock.nowMs(), reporter: "ourselves" });
      },
    });
    const tls = new TlsReporter({
      ...common,
      resolver,
      seen: this.#tlsSeen,
      post: (url, octets) => postReport(url, octets, { resolver, dial, clock }),
    });
    this.#rounds = new Rounds({ ...common, reporters: [aggregate, tls] });
    this.#rounds.start();
  }

  note(seen: SeenMessage): void {
    this.#receiver.note(seen);
    if (this.#receiver.isReportMail(seen)) return;
    this.#failures?.note(seen);
    const evidence = this.#ports.settings.send ? evidenceOf(seen) : undefined;
    if (evidence === undefined) return;
    this.#seen.note({ day: dayOf(seen.atMs), domain: evidence.policyDomain }, evidence.row);
    this.#flushSoon();
  }

  noteTls({ domain, ...row }: TlsEvidence): void {
    if (!this.#ports.settings.send) return;
    this.#tlsSeen.note({ day: dayOf(this.#ports.clock.nowMs()), domain }, row);
    this.#flushSoon();
  }

  #flushSoon(): void {
    this.#flushing ??= this.#ports.clock.after(flushMs, () => {
      this.#flushing = undefined;
      this.#seen.flush();
      this.#tlsSeen.flush();
    });
  }

  refused({ reply, atMs, reversePath, recipients }: Refusal, judged: Judged): void {
    // Who was told to come again is seen then.
    if (reply.code >= 500) this.note({ ...judged, atMs, reversePath, recipients });
  }

  overview(sinceMs: number, domain?: string): Overview {
    return {
      domains: summaries(this.#book, sinceMs, domain),
      unverified: unverifiedReports(this.#book, sinceMs),
      unread: unreadMail(this.#book, sinceMs),
      tls: tlsSummaries(this.#book, sinceMs, domain),
    };
  }

  received(filter: ReceivedFilter): Received {
    return {
      reports: receivedReports(this.#book, filter),
      failures: feedbackReports(this.#book, filter),
    };
  }

  show(id: number, limit: number): ShownReport | undefined {
    return receivedReport(this.#book, id, limit);
  }

  sent(filter: { readonly domain?: string; readonly limit: number }): readonly SentRow[] {
    return sentReports(this.#book, filter);
  }

  ownSources(domain: string, sinceMs: number): readonly OwnSource[] {
    return ownSources(this.#book, domain, sinceMs);
  }

  take(octets: Uint8Array): Promise<Imported> {
    const atMs = this.#ports.clock.nowMs();
    return this.#receiver.take(octets, { atMs, reporter: "file" });
  }

  async sendNow(): Promise<RoundResult> {
    if (this.#rounds === undefined) {
      throw new Misconfigured("reports are not sent: [reports] send is false");
    }
    return this.#rounds.round(dayOf(this.#ports.clock.nowMs()) + 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#flushing?.cancel();
    this.#pruning.cancel();
    await this.#rounds?.stop();
    await this.#failures?.stop();
    await this.#receiver.stop();
    this.#seen.flush();
    this.#tlsSeen.flush();
    this.#book[Symbol.dispose]();
  }

  #prune(): void {
    const { settings, clock } = this.#ports;
    this.#pruning = clock.after(pruneMs, () => this.#prune());
    try {
      prune(this.#book, settings.keepDays, clock.nowMs());
    } catch (error) {
      this.#events.failed("forgetting old reports", error);
    }
  }
}
