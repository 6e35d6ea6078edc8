/** Once a day what was seen of each domain is reported: rounds, patience, what was sent. */

import type { Clock, Timer } from "#base/clock";
import { Misconfigured } from "#base/errors";
import type { Random } from "#base/random";
import { type Book, dayMs, dayOf } from "./book.ts";
import type { ReportEvents } from "./events.ts";
import type { Seen, SeenGroup } from "./seen-rows.ts";

export type Outcome = "sent" | "not-sent" | "later";

/** One kind of reports. */
export interface Reporter {
  /** Days before this one. */
  groups(before: number): readonly SeenGroup[];
  /** @throws Misconfigured where nothing can be sent at all */
  report(group: SeenGroup): Promise<Outcome>;
  /** Forgets it: nobody wants it, or nobody answers. */
  drop(group: SeenGroup, why: string): void;
}

export interface RoundPorts {
  readonly reporters: readonly Reporter[];
  readonly clock: Clock;
  readonly random: Random;
  readonly events: ReportEvents;
}

export interface RoundResult {
  /** Domains of which something was seen. */
  readonly domains: number;
  readonly sent: number;
  /** For want of an answer of the DNS, or because something failed: a later round tries again. */
  readonly later: number;
}

const lookMs = 300_000;
/** Ours: so that not all of the world sends at the same moment. */
const jitterMs = 2 * 3_600_000;
/** A domain that is silent for so long gets no report of that day. */
const patienceDays = 3;
/** Look-ups of several domains wait at the same time. */
const lanes = 4;

export class Rounds {
  readonly #ports: RoundPorts;
  /** Behind midnight UTC. */
  readonly #delayMs: number;
  #timer: Timer | undefined;
  #round: Promise<RoundResult> | undefined;
  #isStopped = false;

  constructor(ports: RoundPorts) {
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
    const tasks = this.#ports.reporters.flatMap((reporter) =>
      reporter.groups(before).map((group) => ({ reporter, group })),
    );
    const outcomes: Outcome[] = [];
    const waiting = tasks.values();
    let wrong: unknown;
    const work = async (): Promise<void> => {
      for (const { reporter, group } of waiting) {
        if (this.#isStopped || wrong !== undefined) return;
        outcomes.push(await this.#report(reporter, group));
      }
    };
    const stopAll = (error: unknown): void => {
      wrong ??= error;
    };
    await Promise.all(Array.from({ length: lanes }, () => work().catch(stopAll)));
    if (wrong !== undefined) throw wrong;
    const count = (outcome: Outcome): number => outcomes.filter((one) => one === outcome).length;
    return { domains: tasks.length, sent: count("sent"), later: count("later") };
  }

  async #report(reporter: Reporter, group: SeenGroup): Promise<Outcome> {
    const { events, clock } = this.#ports;
    try {
      const outcome = await reporter.report(group);
      if (outcome !== "later") return outcome;
    } catch (error) {
      if (error instanceof Misconfigured) throw error;
      events.failed(`reporting to ${group.domain}`, error);
    }
    if (group.day + patienceDays < dayOf(clock.nowMs())) {
      reporter.drop(group, "nobody answered for days");
    }
    return "later";
  }
}

/** A day that was reported in part goes on behind that part. */
export function periodOf(
  book: Book,
  kind: SentKind,
  { day, domain }: SeenGroup,
  nowMs: number,
): { readonly beginMs: number; readonly endMs: number } {
  const beginMs = day * dayMs;
  const endMs = Math.min(beginMs + dayMs, Math.ceil(nowMs / 1000) * 1000) - 1000;
  const last = book.get(
    "SELECT max(end_ms) AS end FROM sent WHERE kind = ? AND domain = ? AND end_ms >= ?",
    kind,
    domain,
    beginMs,
  ) as { end: number | null } | undefined;
  const from = last?.end == null ? beginMs : last.end + 1000;
  return { beginMs: Math.min(from, endMs), endMs };
}

export type SentKind = "aggregate" | "failure" | "tls";

export interface SentNote {
  readonly kind: SentKind;
  readonly domain: string;
  readonly beginMs: number;
  readonly endMs: number;
  readonly reportId: string;
  readonly addresses: readonly string[];
  /** In the trace: the report itself, or of a failure report the message it is about; "" where it went another way. */
  readonly message: string;
  /** Or sessions, of a report on TLS. */
  readonly messages: number;
  /** Packed. */
  readonly bytes: number;
  readonly atMs: number;
}

export function rememberSent(book: Book, note: SentNote): void {
  book.run(
    `INSERT INTO sent (kind, domain, begin_ms, end_ms, report_id, addresses, message, messages,
      bytes, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    note.kind,
    note.domain,
    note.beginMs,
    note.endMs,
    note.reportId,
    JSON.stringify(note.addresses),
    note.message,
    note.messages,
    note.bytes,
    note.atMs,
  );
}

export function dropSeen<Row extends object>(
  { book, seen, events }: { book: Book; seen: Seen<Row>; events: ReportEvents },
  group: SeenGroup,
  why: string,
): "not-sent" {
  book.together(() => seen.takeOff(group, seen.rowsOf(group).rows));
  events.notSent(group.domain, why);
  return "not-sent";
}
