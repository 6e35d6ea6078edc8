/** Sends DMARC aggregate reports to those who asked and want it (RFC 9990 §3). */

import { hash } from "node:crypto";
import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import type { AggregateReport, ReportRecord } from "#formats/dmarc-report";
import { type Destinations, findPolicy, reportDestinations } from "#identity/dmarc";
import type { OwnMail } from "../outgoing.ts";
import type { Book } from "./book.ts";
import type { ReportEvents } from "./events.ts";
import { isSame } from "./evidence.ts";
import { aggregateMail, aggregateReport, type Packed, type Published, packed } from "./make.ts";
import { sumOf } from "./received.ts";
import { dropSeen, type Outcome, periodOf, type Reporter, rememberSent } from "./rounds.ts";
import type { Seen, SeenGroup, SeenRows } from "./seen-rows.ts";
import type { ReportSettings } from "./settings.ts";

export type AggregateRow = Omit<ReportRecord, "count">;

export interface AggregatePorts {
  readonly book: Book;
  readonly seen: Seen<AggregateRow>;
  readonly settings: ReportSettings;
  readonly resolver: Resolver;
  readonly sendOwn: (own: OwnMail) => Promise<void>;
  /** Reports on domains of ours need no mail. */
  readonly keepOwn: (report: AggregateReport) => void;
  readonly clock: Clock;
  readonly events: ReportEvents;
}

export class AggregateReporter implements Reporter {
  readonly #ports: AggregatePorts;

  constructor(ports: AggregatePorts) {
    this.#ports = ports;
  }

  groups(before: number): readonly SeenGroup[] {
    return this.#ports.seen.groups(before);
  }

  drop(group: SeenGroup, why: string): Outcome {
    return dropSeen(this.#ports, group, why);
  }

  async report(group: SeenGroup): Promise<Outcome> {
    const { resolver } = this.#ports;
    const finding = await findPolicy(group.domain, resolver);
    if (finding.result === "failed") return "later";
    const { published } = finding;
    if (finding.result !== "found" || published?.domain !== group.domain) {
      return this.drop(group, "it has no policy of its own any more");
    }
    if (published.record.rua.length === 0) return this.drop(group, "it wants none");
    const destinations = await reportDestinations(published.record, group.domain, resolver);
    const leftOut = destinations.leftOut.filter(({ tag }) => tag === "rua");
    if (destinations.rua.length > 0) return this.#send(group, published, destinations.rua);
    if (leftOut.some(({ temporary }) => temporary)) return "later";
    return this.drop(group, leftOut.map(({ why }) => why).join("; "));
  }

  async #send(group: SeenGroup, published: Published, to: Destinations["rua"]): Promise<Outcome> {
    const { book, settings, clock, seen, sendOwn, keepOwn } = this.#ports;
    const rows = seen.rowsOf(group);
    if (rows.records.length === 0) return this.drop(group, "all of it came from too many sources");
    const period = periodOf(book, "aggregate", group, clock.nowMs());
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

  #remember(
    group: SeenGroup,
    rows: SeenRows<AggregateRow>,
    { made, addresses, message }: { made: Packed; addresses: readonly string[]; message: string },
  ): void {
    const { book, seen, clock, events } = this.#ports;
    const { report, mail } = made;
    const messages = sumOf(report.records);
    book.together(() => {
      seen.takeOff(group, rows.rows);
      rememberSent(book, {
        kind: "aggregate",
        domain: group.domain,
        beginMs: report.beginMs,
        endMs: report.endMs,
        reportId: report.reportId,
        addresses,
        message,
        messages,
        bytes: mail.octets.length,
        atMs: clock.nowMs(),
      });
    });
    events.sent("aggregate", group.domain, messages);
  }
}
