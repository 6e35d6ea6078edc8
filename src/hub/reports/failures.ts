/** Failure reports: the header of single messages that failed DMARC, to owners who ask (RFC 9991). */

import { hex } from "#base/bytes";
import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import type { Random } from "#base/random";
import type { Store } from "#contracts/store";
import { formatFeedbackMail } from "#formats/feedback-report";
import { fields, parseHeader, rawField } from "#formats/message";
import { findPolicy, reportDestinations } from "#identity/dmarc";
import type { DmarcVerdict } from "#model/verdict";
import type { OwnMail } from "../outgoing.ts";
import { type Book, dayMs, dayOf } from "./book.ts";
import type { ReportEvents } from "./events.ts";
import { domainOf, findVerdict, type SeenMessage } from "./evidence.ts";
import { OneByOne } from "./one-by-one.ts";
import { rememberSent } from "./rounds.ts";
import type { ReportSettings } from "./settings.ts";

export interface FailurePorts {
  readonly book: Book;
  readonly store: Pick<Store, "messages">;
  readonly settings: ReportSettings;
  readonly resolver: Resolver;
  readonly sendOwn: (own: OwnMail) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: ReportEvents;
}

type Kept = SeenMessage & { readonly kept: string };

/** More at once are not reported: it is about ways to fail, not about every message (RFC 9991 §2). */
const maxWaiting = 50;
const maxHeaderBytes = 65_536;
/** A message to more people has no report: each would have to be taken out of its header. */
const maxRedacted = 50;

/** Fields that tell of the way and of the author; subject and recipients stay here. */
const shown = [
  "Received",
  "DKIM-Signature",
  "ARC-Seal",
  "ARC-Message-Signature",
  "ARC-Authentication-Results",
  "Authentication-Results",
  "From",
  "Sender",
  "Date",
  "Message-ID",
  "List-Id",
  "MIME-Version",
  "Content-Type",
];

export class Failures {
  readonly #ports: FailurePorts;
  readonly #reporting: OneByOne<Kept>;
  /** Domains that are done for the day: they want none, or have had enough. */
  #done = new Set<string>();
  #day = 0;

  constructor(ports: FailurePorts) {
    this.#ports = ports;
    this.#reporting = new OneByOne(
      (seen) => this.#report(seen),
      (error) => ports.events.failed("reporting a failure", error),
    );
  }

  note(seen: SeenMessage): void {
    const dmarc = findVerdict(seen.verdicts, "dmarc");
    const { kept } = seen;
    if (kept === undefined || dmarc?.result !== "fail" || dmarc.policyDomain === undefined) return;
    if (seen.recipients.length > maxRedacted) return;
    if (this.#day !== dayOf(seen.atMs)) {
      this.#day = dayOf(seen.atMs);
      this.#done = new Set();
    }
    if (this.#done.has(dmarc.policyDomain) || this.#reporting.waiting >= maxWaiting) return;
    this.#reporting.add({ ...seen, kept });
  }

  stop(): Promise<void> {
    return this.#reporting.stop();
  }

  async #report(seen: Kept): Promise<void> {
    const { resolver, settings, events, clock } = this.#ports;
    const dmarc = findVerdict(seen.verdicts, "dmarc");
    const domain = dmarc?.policyDomain;
    if (dmarc === undefined || domain === undefined || this.#done.has(domain)) return;
    if (this.#sentToday(domain) >= settings.failuresPerDay) return void this.#done.add(domain);
    const { published, result } = await findPolicy(domain, resolver);
    if (result === "failed") return;
    // fo=d and fo=s ask for reports of DKIM and SPF, which are others (RFC 6651, RFC 6652).
    const asks = published?.record.fo.some((option) => option === "0" || option === "1") === true;
    if (published?.domain !== domain || !asks) return void this.#done.add(domain);
    const { ruf } = await reportDestinations(published.record, domain, resolver);
    if (ruf.length === 0) return void this.#done.add(domain);
    const to = ruf.map(({ address }) => address);
    await this.#send(seen, dmarc, to);
    rememberSent(this.#ports.book, {
      kind: "failure",
      domain,
      beginMs: seen.atMs,
      endMs: seen.atMs,
      reportId: "",
      addresses: to,
      message: seen.kept,
      messages: 1,
      bytes: 0,
      atMs: clock.nowMs(),
    });
    events.sent("failure", domain, 1);
  }

  #sentToday(domain: string): number {
    const since = dayOf(this.#ports.clock.nowMs()) * dayMs;
    const sql =
      "SELECT count(*) AS count FROM sent WHERE domain = ? AND end_ms >= ? AND kind = 'failure'";
    return (this.#ports.book.get(sql, domain, since) as { count: number } | undefined)?.count ?? 0;
  }

  async #send(seen: Kept, dmarc: DmarcVerdict, to: readonly string[]): Promise<void> {
    const { settings, store, resolver, clock, random, sendOwn } = this.#ports;
    const { address, submitter } = settings;
    const id = hex(random.bytes(16));
    const head = await store.messages.read(seen.kept, 0, maxHeaderBytes);
    const text = `This message from ${dmarc.fromDomain} failed DMARC at ${submitter}. Only a part of its header is shown.`;
    const content = formatFeedbackMail({
      from: address,
      to,
      subject: `DMARC failure report: ${dmarc.fromDomain}`,
      id,
      madeAtMs: clock.nowMs(),
      text,
      report: {
        feedbackType: "auth-failure",
        userAgent: "Postern/1",
        authFailure: "dmarc",
        arrivedAtMs: seen.atMs,
        incidents: 1,
        originalMailFrom: seen.reversePath,
        originalRcptTo: [],
        reportingMta: submitter,
        sourceIp: seen.source.address,
        authenticationResults: [`${submitter}; dmarc=fail header.from=${dmarc.fromDomain}`],
        reportedDomain: [dmarc.fromDomain],
        reportedUri: [],
        deliveryResult: seen.decision.disposition === "quarantine" ? "spam" : "delivered",
        identityAlignment: ["dkim", "spf"], // a message that fails has neither
        ...failedSignature(seen, dmarc),
        spfDns: await spfRecord(seen, dmarc, resolver),
      },
      originalHeader: shownHeader(head, seen.recipients),
    });
    const step = { step: "reported", text: `DMARC failure report about ${dmarc.fromDomain}` };
    await sendOwn({ id, reversePath: address, recipients: to, sender: address, content, step });
  }
}

/** RFC 9991 §4: required when a signature of an aligned domain failed. */
function failedSignature(
  { verdicts }: SeenMessage,
  dmarc: DmarcVerdict,
): { dkimDomain?: string; dkimIdentity?: string; dkimSelector?: string } {
  for (const one of verdicts) {
    if (one.method !== "dkim" || one.result === "pass" || !isOf(one.domain, dmarc)) continue;
    return { dkimDomain: one.domain, dkimIdentity: one.identity, dkimSelector: one.selector };
  }
  return {};
}

/** The same for SPF: the record that said no (RFC 9991 §4, RFC 6591). */
async function spfRecord(
  { verdicts }: SeenMessage,
  dmarc: DmarcVerdict,
  resolver: Resolver,
): Promise<readonly string[]> {
  const spf = findVerdict(verdicts, "spf");
  if (spf === undefined || spf.result === "pass" || !isOf(spf.domain, dmarc)) return [];
  const answer = await resolver.query(spf.domain, "TXT");
  const texts = answer.kind === "found" ? answer.records.map(({ text }) => text) : [];
  const record = texts.find((text) => /^v=spf1(?: |$)/i.test(text));
  return record === undefined ? [] : [`txt : ${spf.domain} : "${record}"`];
}

function isOf(
  domain: string,
  { fromDomain, organizationalDomain = fromDomain }: DmarcVerdict,
): boolean {
  return `.${domain}`.endsWith(`.${organizationalDomain}`);
}

/** Addresses of recipients are named in trace fields, too. */
function shownHeader(octets: Uint8Array, recipients: readonly string[]): Buffer {
  const header = parseHeader(octets);
  const ours = 1; // the first Received field is that of our own edge
  const raw = shown.flatMap((name) => {
    const all = fields(header, name).map((one) => rawField(header, one).toString("latin1"));
    return name === "Received" ? all.slice(ours) : all;
  });
  let text = raw.map((one) => (one.endsWith("\r\n") ? one : `${one}\r\n`)).join("");
  for (const recipient of recipients) {
    const pattern = octetsIn(recipient).replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    const instead = octetsIn(`redacted@${domainOf(recipient)}`);
    text = text.replace(new RegExp(pattern, "gi"), () => instead);
  }
  return Buffer.from(text, "latin1");
}

/** UTF-8 (RFC 6532), one character an octet, as the header is searched. */
function octetsIn(text: string): string {
  return Buffer.from(text).toString("latin1");
}
