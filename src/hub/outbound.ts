/** The way of a message from our own people: sender bound, completed, signed, one commit (RFC 6409). */

import type { DeliveryMeasures } from "#assurance/measures";
import { hex } from "#base/bytes";
import type { Clock } from "#base/clock";
import { Denied, Full, Unavailable } from "#base/errors";
import type { Random } from "#base/random";
import type { Directory } from "#contracts/directory";
import type { Keyring } from "#contracts/keyring";
import type { Acceptance, Delivery, NewQueueItem, StagedContent, Store } from "#contracts/store";
import type { Submission } from "#contracts/submission";
import { parseAddressList } from "#formats/address";
import { formatDate } from "#formats/date";
import { fields, type Header, maxHeaderBytes, parseHeader, valueOf } from "#formats/message";
import { readAuthor } from "#identity/author";
import { assessSender } from "#identity/sender";
import type { Recipient } from "#model/envelope";
import type { AccountId } from "#model/mailbox";
import type { Reply } from "#model/reply";
import type { Partner, SenderVerdict, Verdict } from "#model/verdict";
import type { HubEvents } from "./events.ts";
import type { OwnNames } from "./own-names.ts";
import { foreignResultsFilter } from "./own-results.ts";
import { signatures } from "./sign.ts";
import { submissionReceived } from "./stamp.ts";

export interface OutboundPorts {
  readonly store: Store;
  readonly directory: Directory;
  readonly keyring: Keyring;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: HubEvents;
  readonly measures: DeliveryMeasures;
  readonly names: () => OwnNames;
  readonly hostname: string;
  readonly queued: () => void;
  /** A message was committed. */
  readonly accepted: (acceptance: Acceptance) => void;
}

const accepted: Reply = { code: 250, status: "2.0.0", text: "accepted" };
const later: Reply = { code: 451, status: "4.3.0", text: "not now, try again" };

/** Implements `Submit` (#contracts/submission). */
export function submit(submission: Submission, ports: OutboundPorts): Promise<Reply> {
  const { account, connection } = submission;
  const login = connection.authenticated ?? "";
  const may = (address: string): boolean => ports.directory.maySendAs(account, address);
  const vouching = { method: "auth", result: "pass", login } as const;
  return send(submission, { login, account, may, verdicts: [vouching] }, ports);
}

/** Mail on its way out, whoever brought it. */
export type Sending = Omit<Submission, "account">;

/** Who brought it, and for which addresses that one may speak. */
export interface Party {
  /** Login, or name of the connector. */
  readonly login: string;
  /** Absent for a server. */
  readonly account?: AccountId;
  readonly may: (address: string) => boolean;
  /** What it proved. */
  readonly verdicts: readonly Verdict[];
  /** A server that sends for domains of others. */
  readonly partner?: Partner;
}

/** Sender bound, completed, signed, one commit. */
export async function send(given: Sending, party: Party, ports: OutboundPorts): Promise<Reply> {
  const submission = { ...given, octets: withoutOurResults(given.octets, ports.hostname) };
  const header = parseHeader(headOf(submission.octets));
  const refusal = refuseSender(submission, header, party);
  if (refusal !== undefined) return refusal;
  const planned = planRecipients(submission, ports);
  if ("code" in planned) return planned;
  const plan = isTlsOptional(header) ? withoutPolicies(planned) : planned;
  try {
    const missing = missingFields(submission, header, ports);
    const unsigned = { octets: submission.octets, header, missing };
    const signed = await signatures(unsigned, domainOf(header), ports);
    const staged = await stage(submission.octets, ports.store);
    const received = submissionReceived(submission, ports.hostname);
    const head = Buffer.from(received + signed + missing, "utf8");
    const sender = senderOf(party, header, ports);
    await commit(submission, { content: staged, head, party, sender }, plan, ports);
    return accepted;
  } catch (error) {
    if (error instanceof Full) {
      return { code: 452, status: "4.3.1", text: "insufficient system storage" };
    }
    if (error instanceof Unavailable || error instanceof Denied) {
      ports.events.submissionDeferred(submission.id, error);
      return later;
    }
    throw error;
  }
}

/** What we found out about a message only we say, to our own people too (RFC 8601 §5). */
function withoutOurResults(octets: readonly Uint8Array[], hostname: string): Uint8Array[] {
  const filter = foreignResultsFilter(hostname);
  return [...octets.flatMap((chunk) => filter.push(chunk)), ...filter.finish()];
}

function valuesOf(header: Header, name: string): string[] {
  return fields(header, name).map((one) => valueOf(header, one));
}

/** Enough of the start for the header, joined once. */
function headOf(octets: readonly Uint8Array[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for (const part of octets) {
    parts.push(part);
    sizeBytes += part.length;
    if (sizeBytes > maxHeaderBytes) break;
  }
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
}

/** MAIL FROM, From and Sender must belong to the login (RFC 6409 §6.1; catalogue A2). */
function refuseSender({ envelope }: Sending, header: Header, { may }: Party): Reply | undefined {
  if (envelope.reversePath !== "" && !may(envelope.reversePath)) {
    return { code: 550, status: "5.7.1", text: "this login may not send with that return path" };
  }
  if (header.truncated || header.end > maxHeaderBytes) {
    return { code: 552, status: "5.3.4", text: "the header of the message is too large" };
  }
  // Whatever a lenient program might read as another author must not leave in our name.
  const author = readAuthor(header);
  if (author.kind !== "one") {
    return { code: 550, status: "5.6.0", text: "From must name one address, plainly written" };
  }
  const senders = ["sender", "resent-from", "resent-sender"]
    .flatMap((name) => valuesOf(header, name))
    .flatMap((value) => parseAddressList(value));
  const all = [author.address, ...senders.map(({ email }) => email)];
  if (all.length > 20 || !all.every(may)) {
    return { code: 550, status: "5.7.1", text: "this login may not send as that From address" };
  }
  return undefined;
}

/** Domain of the author, which is what readers see and DMARC aligns with. */
function domainOf(header: Header): string {
  const [author] = valuesOf(header, "from").flatMap((value) => parseAddressList(value));
  const email = author?.email ?? "";
  return email.slice(email.lastIndexOf("@") + 1).toLowerCase();
}

interface Plan {
  readonly deliveries: readonly Delivery[];
  readonly queue: readonly NewQueueItem[];
}

function planRecipients(submission: Sending, ports: OutboundPorts): Plan | Reply {
  const accounts = new Set<string>();
  const queue: NewQueueItem[] = [];
  for (const recipient of submission.envelope.recipients) {
    const domain = recipient.path.slice(recipient.path.lastIndexOf("@") + 1);
    if (!ports.directory.isLocalDomain(domain)) {
      queue.push(queueItem(submission, recipient, recipient.path, ports));
      continue;
    }
    const destinations = ports.directory.resolve(recipient.path);
    if (destinations.length === 0) {
      return { code: 550, status: "5.1.1", text: `no such user here: ${ascii(recipient.path)}` };
    }
    for (const destination of destinations) {
      if (destination.kind === "account") accounts.add(destination.account);
      else queue.push(queueItem(submission, recipient, destination.address, ports));
    }
  }
  const deliveries = [...accounts].map((account) => ({
    account,
    mailbox: "inbox" as const,
    flags: [],
  }));
  return { deliveries, queue };
}

/** RFC 8689 §3: one field, and it says "No". */
function isTlsOptional(header: Header): boolean {
  const [value, ...more] = valuesOf(header, "tls-required");
  return more.length === 0 && value?.trim().toLowerCase() === "no";
}

/** REQUIRETLS goes before the field (RFC 8689 §3). */
function withoutPolicies(plan: Plan): Plan {
  const lowered = (item: NewQueueItem): NewQueueItem =>
    item.requireTls === true ? item : { ...item, tlsOptional: true };
  return { ...plan, queue: plan.queue.map(lowered) };
}

function ascii(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}

function queueItem(
  submission: Sending,
  recipient: Recipient,
  address: string,
  { clock, random }: OutboundPorts,
): NewQueueItem {
  const { path: _, ...wishes } = recipient;
  const { envelope } = submission;
  const nowMs = clock.nowMs();
  return {
    id: hex(random.bytes(16)),
    reversePath: envelope.reversePath,
    recipient: address,
    wishes,
    ...(envelope.dsnReturn && { dsnReturn: envelope.dsnReturn }),
    ...(envelope.envelopeId && { envelopeId: envelope.envelopeId }),
    utf8: envelope.utf8 === true,
    ...(envelope.requireTls && { requireTls: true }),
    queuedAtMs: nowMs,
    nextAttemptAtMs: nowMs,
  };
}

/** RFC 6409 §8.1, §8.2: Date and Message-ID are added where the composer left them out. */
function missingFields(
  submission: Sending,
  header: Header,
  { hostname, clock }: OutboundPorts,
): string {
  const date = valuesOf(header, "date").length > 0 ? "" : `Date: ${formatDate(clock.nowMs())}\r\n`;
  const hasId = valuesOf(header, "message-id").length > 0;
  return date + (hasId ? "" : `Message-ID: <${submission.id}@${hostname}>\r\n`);
}

export async function stage(octets: readonly Uint8Array[], store: Store): Promise<StagedContent> {
  const writer = store.stage();
  try {
    for (const chunk of octets) await writer.write(chunk);
    return await writer.finish();
  } catch (error) {
    writer.abort();
    throw error;
  }
}

/** The login vouches for the address; whose name stands before it is another matter (CAP-104). */
function senderOf(party: Party, header: Header, ports: OutboundPorts): SenderVerdict {
  const { known, people } = ports.names();
  const { login, account, verdicts, partner } = party;
  const isOurs = (domain: string): boolean =>
    account !== undefined || ports.directory.isLocalDomain(domain);
  const own = isOurs(domainOf(header));
  return assessSender({
    author: readAuthor(header),
    verdicts: own ? [{ method: "auth", result: "pass", login }] : verdicts,
    ...(!own && partner && { partner }),
    source: "direct",
    isOurs, // an address was found to be the login's own
    known,
    isNameOfOurs: (folded) => people.get(folded)?.some((id) => id !== account) ?? false,
    subject: "",
    textSample: "",
    replyTo: [],
    isList: false,
    isFirstContact: false,
  });
}

/** What the system writes itself needs no check of where it comes from. */
export function internalSender(address: string): SenderVerdict {
  const text = "Inside your organisation.";
  return { method: "sender", result: "internal", origin: "inside", address, text, evidence: [] };
}

async function commit(
  submission: Sending,
  message: {
    readonly content: StagedContent;
    readonly head: Uint8Array;
    readonly party: Party;
    readonly sender: SenderVerdict;
  },
  plan: Plan,
  ports: OutboundPorts,
): Promise<void> {
  const { content, head, sender } = message;
  const { login, verdicts } = message.party;
  const { connection, envelope, id } = submission;
  const acceptedAtMs = ports.clock.nowMs();
  const acceptance: Acceptance = {
    id,
    direction: "submission",
    connection,
    envelope,
    verdicts: [...verdicts, sender],
    decision: { disposition: "accept", opinions: [] },
    head,
    content,
    acceptedAtMs,
    steps: [
      {
        atMs: submission.receivedAtMs,
        program: "hub",
        step: "content",
        text: `${content.sizeBytes} octets from ${login} by ${connection.listener}`,
      },
    ],
    ...plan,
  };
  const { repeated } = await ports.store.accept(acceptance);
  if (repeated) return;
  ports.measures.accepted(acceptance, ports.clock.nowMs());
  ports.events.submitted(submission, plan.deliveries.length, plan.queue.length);
  ports.accepted(acceptance);
  if (plan.queue.length > 0) ports.queued();
}
