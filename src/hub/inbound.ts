/** The way of a message that an edge deposits: evidence, decision, one commit, answer (DESIGN §3). */

import type { DeliveryMeasures } from "#assurance/measures";
import type { Clock } from "#base/clock";
import { Full, Unavailable } from "#base/errors";
import type { Random } from "#base/random";
import { accept, type Result } from "#base/result";
import type { Deposit, DepositEnd, DepositOutcome } from "#contracts/deposit";
import type { Directory } from "#contracts/directory";
import type { LinkStream } from "#contracts/link";
import { openSealed, type SealPrivateKeys } from "#contracts/sealed";
import type { Acceptance, StagedContent, Store } from "#contracts/store";
import type { Source } from "#model/connection";
import type { InboundConnector } from "#model/connector";
import type { Decision } from "#model/decision";
import type { Recipient } from "#model/envelope";
import type { Reply } from "#model/reply";
import type { Verdict } from "#model/verdict";
import { decide, replyTo } from "#policy";
import { type SealingWriter, type SealPorts, sealingWriter } from "./arc-seal.ts";
import { type CheckedWriter, checkedWriter } from "./checked-writer.ts";
import type { HubEvents } from "./events.ts";
import { expand, queueItem } from "./expand.ts";
import type { Gateways } from "./gateway/index.ts";
import type { Judge } from "./judge.ts";
import { believed } from "./partners.ts";
import type { RefusalReasons } from "./refusal-reasons.ts";
import { refuseRecipient } from "./relay/recipients.ts";
import type { ReportCollector } from "./reports/index.ts";
import { readAsked, readDeposit, readDepositEnd } from "./schemas.ts";
import type { EdgePeer } from "./settings.ts";
import { inboundHead } from "./stamp.ts";

export interface InboundPorts {
  readonly store: Store;
  readonly directory: Directory;
  readonly gateways: Pick<Gateways, "domains" | "ask">;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: HubEvents;
  readonly measures: DeliveryMeasures;
  /** Deposits whose outcome is not known yet, by id. */
  readonly underWay: Map<string, Promise<void>>;
  /** Octets of sealed messages that are held while they are opened, over all streams. */
  readonly sealedRoom: { heldBytes: number; readonly maxBytes: number };
  readonly judge: Judge;
  readonly reasons: RefusalReasons;
  /** Seals what is forwarded elsewhere; absent: nothing is sealed. */
  readonly sealing?: SealPorts;
  readonly reports: ReportCollector;
  /** The inbound ones: what an edge claims is held against them. */
  readonly connectors: readonly InboundConnector[];
  /** authserv-id of Authentication-Results (RFC 8601 §2.5). */
  readonly authservId: string;
  /** Called when something was queued for elsewhere. */
  readonly queued: () => void;
  /** Called when a message was committed. */
  readonly accepted: (acceptance: Acceptance) => void;
}

interface Arriving {
  readonly writer: CheckedWriter;
  /** Of a message that is forwarded, where such are sealed. */
  readonly sealing?: SealingWriter;
  /** The sender has had its 250 from the sealed spool: what cannot be delivered must come back. */
  readonly isAcknowledged: boolean;
}

/** Takes one deposit; the answer is the outcome, and nothing else ever makes the edge say 250. */
export function takeDeposit(stream: LinkStream, ports: InboundPorts): void {
  const deposit = depositOf(stream.header, ports);
  if (!deposit.ok) return misshapen(stream, "edge-smtp", ports.events);
  const { id } = deposit.value;
  const arriving = arrivingOf(deposit.value, ports, false);
  const { writer } = arriving;
  const settled = Promise.withResolvers<void>();
  // From the first octet on: a question about it may overtake its end on another connection.
  ports.underWay.set(id, settled.promise);
  const settle = (): void => {
    // The same id may have come again meanwhile, on another connection.
    if (ports.underWay.get(id) === settled.promise) ports.underWay.delete(id);
    settled.resolve();
  };
  let isWhole = false;
  stream.receive({
    data: (chunk) => writer.write(chunk),
    broken() {
      // A whole one is being committed, whether or not anybody still hears the answer.
      if (isWhole) return;
      writer.abort();
      settle();
    },
    end(trailer) {
      isWhole = true;
      const outcome = finish(deposit.value, trailer, arriving, ports);
      void answer(stream, id, outcome, ports).finally(settle);
    },
  });
}

function depositOf(header: unknown, { connectors }: InboundPorts): Result<Deposit, "bad-shape"> {
  const read = readDeposit(header);
  if (!read.ok) return read;
  return accept({ ...read.value, connection: believed(read.value.connection, connectors) });
}

/** Takes what waited in the DMZ while no link was up; the edge could not read it itself. */
export function takeSealed(stream: LinkStream, keys: SealPrivateKeys, ports: InboundPorts): void {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  const { sealedRoom } = ports;
  let isWhole = false;
  const letGo = (): void => {
    sealedRoom.heldBytes -= sizeBytes;
    sizeBytes = 0;
    chunks.length = 0;
  };
  stream.receive({
    data(chunk) {
      // It opens only whole, so it is held whole; the edge tries again when there is room.
      if (sealedRoom.heldBytes + chunk.length > sealedRoom.maxBytes) {
        return stream.abort("too much is being opened at once");
      }
      sizeBytes += chunk.length;
      sealedRoom.heldBytes += chunk.length;
      chunks.push(chunk);
    },
    broken() {
      if (!isWhole) letGo();
    },
    end() {
      isWhole = true;
      void answer(stream, "sealed", unseal(chunks, keys, ports), ports).finally(letGo);
    },
  });
}

async function unseal(
  chunks: readonly Buffer[],
  keys: SealPrivateKeys,
  ports: InboundPorts,
): Promise<DepositOutcome> {
  const opened = openSealed(keys, chunks);
  const deposit = opened.ok ? depositOf(opened.value.header, ports) : opened;
  if (!opened.ok || !deposit.ok) {
    // It can never be opened: keeping it would block the spool for good.
    if (opened.ok) ports.events.wrongShape("sealed", "edge-smtp");
    else ports.events.sealedUnreadable(opened.fault);
    return refused({ code: 554, status: "5.6.0", text: "sealed message cannot be opened" });
  }
  const arriving = arrivingOf(deposit.value, ports, true);
  for (const piece of opened.value.content) await arriving.writer.write(piece);
  return finish(deposit.value, opened.value.trailer, arriving, ports);
}

function arrivingOf(
  { envelope }: Deposit,
  { store, directory, authservId, judge, sealing: ports }: InboundPorts,
  isAcknowledged: boolean,
): Arriving {
  const isForwarded = envelope.recipients.some(({ path }) =>
    directory.resolve(path).some(({ kind }) => kind !== "account"),
  );
  const staging = store.stage();
  const sealing = ports && isForwarded ? sealingWriter(staging, ports) : undefined;
  const writer = checkedWriter(sealing ?? staging, authservId, judge.startBytes);
  return { writer, isAcknowledged, ...(sealing && { sealing }) };
}

/** A message that a mail server of ours hands in. */
export interface Handed {
  /** Never throws. */
  write(chunk: Uint8Array): void | Promise<void>;
  /** @param recipients those that it is kept for */
  end(end: DepositEnd, recipients: readonly Recipient[]): Promise<DepositOutcome>;
  abort(): void;
}

/** Its sender has had a 250 from that server: what is not wanted becomes Junk, and is kept. */
export function takeHanded(deposit: Deposit, ports: InboundPorts): Handed {
  const arriving = arrivingOf(deposit, ports, true);
  return {
    write: (chunk) => arriving.writer.write(chunk),
    end(end, recipients) {
      const envelope = { ...deposit.envelope, recipients };
      return finish({ ...deposit, envelope }, end, arriving, ports);
    },
    abort: () => arriving.writer.abort(),
  };
}

/** Answers whether a transaction is kept; one that is being committed now is waited for. */
export function answerAsked(stream: LinkStream, ports: InboundPorts): void {
  const { store, underWay } = ports;
  const asked = readAsked(stream.header);
  if (!asked.ok) return misshapen(stream, "edge-smtp", ports.events);
  const { id } = asked.value;
  const settled = underWay.get(id) ?? Promise.resolve();
  settled
    .then(() => store.isAccepted(id))
    .then(
      (committed) => stream.answer({ committed }),
      () => stream.abort("the store does not answer"),
    );
}

/** Nothing is believed of it, and an operator sees that it came. */
export function misshapen(stream: LinkStream, edge: EdgePeer["name"], events: HubEvents): void {
  events.wrongShape(stream.kind, edge);
  stream.abort("wrong shape");
}

/** Resolves when the outcome is told, whatever it is. */
function answer(
  stream: LinkStream,
  id: string,
  outcome: Promise<DepositOutcome>,
  ports: InboundPorts,
): Promise<void> {
  return outcome.then(
    (value) => stream.answer(value),
    (error: unknown) => {
      ports.events.depositFailed(id, error);
      stream.abort("the inside failed");
    },
  );
}

async function finish(
  deposit: Deposit,
  trailer: unknown,
  arriving: Arriving,
  ports: InboundPorts,
): Promise<DepositOutcome> {
  const { writer, isAcknowledged } = arriving;
  const end = readDepositEnd(trailer);
  if (!end.ok) {
    ports.events.wrongShape(isAcknowledged ? "sealed" : "deposit", "edge-smtp");
    writer.abort();
    return refused(misfit(isAcknowledged, "deposit ended in a wrong shape"));
  }
  try {
    const { staged, arrived } = await writer.finish();
    if (arrived.id !== end.value.contentId || arrived.sizeBytes !== end.value.sizeBytes) {
      ports.events.damagedOnTheWay(deposit.id);
      return refused(misfit(isAcknowledged, "content was damaged on the way"));
    }
    // What is not judged whole may hold a field that speaks in our name (RFC 8601 §5).
    if (writer.isHeaderTooLong && !isAcknowledged) {
      return refused({ code: 552, status: "5.3.4", text: "message header too large" });
    }
    const { verdicts, source } = end.value;
    // The edge's opinions are evidence: the inside may be stricter, never milder.
    const decision = writer.isHeaderTooLong ? distrusted(end.value.decision) : end.value.decision;
    const judged = await ports.judge.judge({
      deposit,
      start: writer.start,
      sizeBytes: end.value.sizeBytes,
      verdicts,
      decision,
      source,
    });
    const steps = [...deposit.steps, ...end.value.steps, ...judged.steps];
    const whole = { ...deposit, ...judged, source, steps };
    return await commit(whole, staged, arriving, ports);
  } catch (error) {
    if (error instanceof Full) {
      return refused({ code: 452, status: "4.3.1", text: "insufficient system storage" });
    }
    if (error instanceof Unavailable) {
      return refused({ code: 451, status: "4.3.0", text: "the store is not available" });
    }
    throw error;
  }
}

/** It was acknowledged, so it is kept; where what it says of itself cannot be judged, as Junk. */
function distrusted({ opinions }: Decision): Decision {
  const opinion = {
    stage: "header",
    disposition: "quarantine",
    because: "the header is too long to be judged",
  } as const;
  return decide([...opinions, opinion]);
}

/** A live sender tries again; a sealed one stays as it is however often the edge sends it. */
function misfit(isAcknowledged: boolean, text: string): Reply {
  return isAcknowledged
    ? { code: 554, status: "5.6.0", text }
    : { code: 451, status: "4.3.0", text };
}

/** A deposit with all that was found out about it, here and at the edge. */
interface JudgedDeposit extends Deposit {
  readonly verdicts: readonly Verdict[];
  readonly decision: Decision;
  readonly source: Source;
  readonly milterFields: string;
}

async function commit(
  deposit: JudgedDeposit,
  content: StagedContent,
  { isAcknowledged, sealing }: Arriving,
  ports: InboundPorts,
): Promise<DepositOutcome> {
  const { store, clock } = ports;
  const { decision } = deposit;
  const isStrict = decision.disposition === "reject" || decision.disposition === "defer";
  // Nobody can be refused any more who has had his 250: then it is Junk.
  if (isStrict && !isAcknowledged) {
    ports.reasons.keep(deposit.id, deposit.steps);
    return refused(replyTo(decision));
  }
  const refusal = isAcknowledged ? undefined : await missing(deposit.envelope.recipients, ports);
  if (refusal !== undefined) return refused(refusal);
  const { deliveries, queue, nobody } = expand(deposit, decision, ports);
  // The queue finds no way for these, and its notice tells the sender.
  for (const gone of nobody) queue.push(queueItem(deposit, gone, gone.path, ports));
  const head = inboundHead(deposit, deposit.verdicts, ports.authservId);
  // Copies for mailboxes here carry both: they share their octets with what is forwarded.
  const junk = queue.length > 0 && decision.disposition !== "accept" ? junkMark : "";
  const seal = queue.length === 0 ? "" : ((await sealing?.seal(deposit.verdicts)) ?? "");
  const acceptedAtMs = clock.nowMs();
  const acceptance: Acceptance = {
    id: deposit.id,
    direction: "inbound",
    connection: deposit.connection,
    envelope: deposit.envelope,
    verdicts: deposit.verdicts,
    decision,
    head: Buffer.concat([head, Buffer.from(junk + seal + deposit.milterFields)]),
    content,
    acceptedAtMs,
    steps: deposit.steps,
    deliveries,
    queue,
  };
  const { repeated } = await store.accept(acceptance);
  if (!repeated) {
    const committedAtMs = clock.nowMs();
    ports.events.accepted(acceptance, deposit.receivedAtMs, committedAtMs);
    ports.measures.accepted(acceptance, committedAtMs);
    ports.accepted(acceptance);
    noteForReports(deposit, acceptedAtMs, ports);
  }
  if (queue.length > 0) ports.queued();
  return { committed: true, repeated };
}

/**
 * Accounts may have gone between RCPT and now, and that an edge has asked for a mailbox of a server
 * inside is only what it says. An answer to its question is remembered here: then nobody is asked.
 */
async function missing(
  recipients: readonly Recipient[],
  ports: InboundPorts,
): Promise<Reply | undefined> {
  const asked = await Promise.all(recipients.map(({ path }) => refuseRecipient(path, ports)));
  const refusals = asked.filter((one) => one !== undefined);
  const isNobody = refusals.every(({ code }) => code >= 500);
  if (refusals.length === recipients.length && isNobody) return refusals[0];
  // The sender's next try learns at RCPT who is gone.
  return refusals.length === 0
    ? undefined
    : { code: 451, status: "4.3.0", text: "recipients changed, try again" };
}

/** What servers inside sort by: they have no other way to learn what we think of a message. */
const junkMark = "X-Spam-Flag: YES\r\n";

function noteForReports(deposit: JudgedDeposit, atMs: number, { reports }: InboundPorts): void {
  const { id: kept, envelope, verdicts, decision, source } = deposit;
  const recipients = envelope.recipients.map(({ path }) => path);
  reports.note({
    kept,
    atMs,
    verdicts,
    decision,
    source,
    reversePath: envelope.reversePath,
    recipients,
  });
}

function refused(reply: Reply): DepositOutcome {
  return { committed: false, reply };
}
