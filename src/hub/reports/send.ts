/** Sends aggregate reports: one a day and policy domain, to those who asked and want it (RFC 9990 §3). */

import { hash } from "node:crypto";
import type { Clock, Timer } from "#base/clock";
import type { Resolver } from "#base/dns";
import { Misconfigured } from "#base/errors";
import type { Random } from "#base/random";
import type { AggregateReport } from "#formats/dmarc-report";
import { type Destinations, findPolicy, reportDestinations } from "#identity/dmarc";
import type { OwnMail } from "../outgoing.ts";
import { type Book, dayMs, dayOf } from "./book.ts";
import type { ReportEvents } from "./events.ts";
import { isSame } from "./evidence.ts";
import { aggregateMail, aggregateReport, type Packed, type Published, packed } from "./make.ts";
import { sumOf } from "./received.ts";
import type { Seen, SeenGroup, SeenRows } from "./seen-rows.ts";
import type { ReportSettings } from "./settings.ts";

export interface SendPorts {
  readonly book: Book;
  readonly seen: Seen;
  readonly settings: ReportSettings;
  readonly resolver: Resolver;
  readonly sendOwn: (own: OwnMail) => Promise<void>;
  /** Reports on domains of ours need no mail. */
  readonly keepOwn: (report: AggregateReport) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: ReportEvents;
}

export interface RoundResult {
  /** Policy domains of which something was seen. */
  readonly domains: number;
  readonly sent: number;
  /** For want of an answer of the DNS, or because something failed: a later round tries again. */
  readonly later: number;
}

const lookMs = 300_000;
/** Ours: so that not all of the world sends at the same moment. */
const jitterMs = 2 * 3_600_000;
/** A domain whose DNS is silent for so long gets no report of that day. */
const patienceDays = 3;
/** Look-ups of several domains wait at the same time. */
const lanes = 4;

export class Sender {
  readonly #ports: SendPorts;
  /** Behind midnight UTC. */
  readonly #delayMs: number;
  #timer: Timer | undefined;
  #round: Promise<RoundResult> | undefined;
  #isStopped = false;

  constructor(ports: SendPorts) {
    this.#ports = ports;
    this.#delayMs = ports.random.fraction() * jitterMs;
  }

  /** Looks every few minutes whether whole days wait to be reported. */
  start(): void {
    const { clock, events } = this.#ports;
    this.#timer = clock.after(lookMs, () => {
      const nowMs = clock.nowMs();
      const isTime = nowMs % dayMs >= this.#delayMs;
      const done = isTime ? this.round(dayOf(nowMs)) : Promise.resolve();
      done
        .catch((error: unknown) => events.failed("sending reports", error))
        .finally(() => {
          if (!this.#isStopped) this.start();
        });
    });
  }

  /**
   * Reports what was seen on the days before this one. One round at a time: who comes in between
   * gets its result.
   */
  round(before: number): Promise<RoundResult> {
    this.#round ??= this.#run(before).finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#round?.catch(() => undefined);
  }

  async #run(before: number): Promise<RoundResult> {
    const groups = this.#ports.seen.groups(before);
    const outcomes: Outcome[] = [];
    const waiting = groups.values();
    let wrong: unknown;
    const work = async (): Promise<void> => {
      for (const group of waiting) {
        if (this.#isStopped || wrong !== undefined) return;
        outcomes.push(await this.#report(group));
      }
    };
    const stopAll = (error: unknown): void => {
      wrong ??= error;
    };
    await Promise.all(Array.from({ length: lanes }, () => work().catch(stopAll)));
    if (wrong !== undefined) throw wrong;
    const count = (outcome: Outcome): number => outcomes.filter((one) => one === outcome).length;
    return { domains: groups.length, sent: count("sent"), later: count("later") };
  }

  async #report(group: SeenGroup): Promise<Outcome> {
    const { events, clock } = this.#ports;
    try {
      const outcome = await this.#try(group);
      if (outcome !== "later") return outcome;
    } catch (error) {
      if (error instanceof Misconfigured) throw error;
      events.failed(`reporting to ${group.domain}`, error);
    }
    if (group.day + patienceDays < dayOf(clock.nowMs())) this.#drop(group, "the DNS is silent");
    return "later";
  }

  async #try(group: SeenGroup): Promise<Outcome> {
    const { resolver } = this.#ports;
    const finding = await findPolicy(group.domain, resolver);
    if (finding.result === "failed") return "later";
    const { published } = finding;
    if (finding.result !== "found" || published?.domain !== group.domain) {
      return this.#drop(group, "it has no policy of its own any more");
    }
    if (published.record.rua.length === 0) return this.#drop(group, "it wants none");
    const destinations = await reportDestinations(published.record, group.domain, resolver);
    const leftOut = destinations.leftOut.filter(({ tag }) => tag === "rua");
    if (destinations.rua.length > 0) return this.#send(group, published, destinations.rua);
    if (leftOut.some(({ temporary }) => temporary)) return "later";
    return this.#drop(group, leftOut.map(({ why }) => why).join("; "));
  }

  #drop(group: SeenGroup, why: string): Outcome {
    const { book, seen, events } = this.#ports;
    book.together(() => seen.takeOff(group, seen.rowsOf(group).rows));
    events.notSent(group.domain, why);
    return "not-sent";
  }

  async #send(group: SeenGroup, published: Published, to: Destinations["rua"]): Promise<Outcome> {
    const { settings, clock, seen, sendOwn, keepOwn } = this.#ports;
    const rows = seen.rowsOf(group);
    if (rows.records.length === 0) return this.#drop(group, "all of it came from too many sources");
    const period = this.#periodOf(group);
    const made = packed(
      rows,
      (kept) => aggregateReport(kept, published, period, settings),
      settings,
    );
    const addresses = to.map(({ address }) => address);
    const others = addresses.filter((address) => !isSame(address, settings.address));
    const { reportId } = made.report;
    const id = hash("sha256", `report ${group.domain} ${reportId}`).slice(0, 32);
    if (others.length > 0) {
      await sendOwn({
        id,
        reversePath: settings.address,
        recipients: others,
        sender: settings.address,
        content: aggregateMail(made, others, settings, clock.nowMs()),
        step: { step: "reported", text: `DMARC report about ${group.domain}` },
      });
    }
    if (others.length < addresses.length) keepOwn(made.report);
    this.#remember(group, rows, { made, addresses, message: others.length > 0 ? id : "" });
    return "sent";
  }

  /** A day that was reported in part goes on behind that part. */
  #periodOf({ day, domain }: SeenGroup): { readonly beginMs: number; readonly endMs: number } {
    const { book, clock } = this.#ports;
    const beginMs = day * dayMs;
    const endMs = Math.min(beginMs + dayMs, Math.ceil(clock.nowMs() / 1000) * 1000) - 1000;
    const last = book.get(
      "SELECT max(end_ms) AS end FROM sent WHERE kind = 'aggregate' AND domain = ? AND end_ms >= ?",
      domain,
      beginMs,
    ) as { end: number | null } | undefined;
    const from = last?.end == null ? beginMs : last.end + 1000;
    return { beginMs: Math.min(from, endMs), endMs };
  }

  #remember(
    group: SeenGroup,
    rows: SeenRows,
    { made, addresses, message }: { made: Packed; addresses: readonly string[]; message: string },
  ): void {
    const { book, seen, clock, events } = this.#ports;
    const { report, mail } = made;
    const messages = sumOf(report.records);
    book.together(() => {
      seen.takeOff(group, rows.rows);
      book.run(
        `INSERT INTO sent (kind, domain, begin_ms, end_ms, report_id, addresses, message, messages,
          bytes, at_ms) VALUES ('aggregate', ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        group.domain,
        report.beginMs,
        report.endMs,
        report.reportId,
        JSON.stringify(addresses),
        message,
        messages,
        mail.octets.length,
        clock.nowMs(),
      );
    });
    events.sent("aggregate", group.domain, messages);
  }
}

type Outcome = "sent" | "not-sent" | "later";
