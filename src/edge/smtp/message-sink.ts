/** Content on its way: held while it is small, judged, and handed in; 250 only when it is kept. */

import type { Buffer } from "node:buffer";
import type { Deposit } from "#contracts/deposit";
import { muxDefaults } from "#contracts/link";
import type { RefusedFor } from "#contracts/store";
import { formatResult } from "#formats/auth-results";
import { fields, type Header, valueOf } from "#formats/message";
import { parseReceived } from "#formats/received";
import { type Delivered, type Findings, MessageChecks } from "#identity/checks";
import type { Connection } from "#model/connection";
import type { Decision, Opinion } from "#model/decision";
import type { Reply } from "#model/reply";
import { isPositive } from "#model/reply";
import type { TraceStep } from "#model/trace";
import type { Verdict } from "#model/verdict";
import { decide, replyTo, weighIdentity } from "#policy";
import {
  type ContentFacts,
  type ContentSink,
  pieceBytes,
  type Transaction,
} from "#transport/smtp-server";
import type { Handover } from "./deposit.ts";
import type { Dialogue, InboundPorts } from "./inbound.ts";

/** What one window of the link takes: such a message is one write, and can be sent again. */
const holdBytes: number = muxDefaults.windowBytes;

const tooLarge: Reply = { code: 552, status: "5.3.4", text: "message too large" };
const noRoom: Reply = { code: 452, status: "4.3.1", text: "no room now, try again later" };
const notReady: Reply = { code: 451, status: "4.3.2", text: "not ready yet, try again later" };

interface Judgement {
  readonly findings: Findings;
  readonly decision: Decision;
  /** Set when the message is not taken. */
  readonly refusal?: Reply;
}

export class MessageSink implements ContentSink {
  readonly #ports: InboundPorts;
  readonly #transaction: Transaction;
  readonly #steps: TraceStep[];
  readonly #checks: MessageChecks;
  readonly #reverseName: Promise<string | undefined>;
  #connection: Connection;
  /** What abuse control advises. */
  readonly #opinions: readonly Opinion[];
  #held: Buffer[] = [];
  /** Counted with what all messages hold. */
  #heldBytes = 0;
  #sizeBytes = 0;
  /** Steps that left with the deposit. */
  #sentSteps = 0;
  #handover: Handover | undefined;
  /** The rest is read only to be forgotten, and then this is said. */
  #refusal: Reply | undefined;
  #judged: RefusedFor | undefined;
  #aborted: string | undefined;

  constructor(ports: InboundPorts, transaction: Transaction, dialogue: Dialogue) {
    this.#ports = ports;
    this.#transaction = transaction;
    this.#steps = firstSteps(transaction, dialogue);
    const { connection, envelope } = transaction;
    this.#connection = connection;
    this.#reverseName = dialogue.reverseName;
    this.#opinions = dialogue.opinions;
    const delivered = deliveredOf(connection, envelope.reversePath, ports.hostname);
    this.#checks = new MessageChecks(delivered, ports.policy.identity, ports, dialogue.spf);
  }

  write(chunk: Buffer): void | Promise<void> {
    if (this.#refusal !== undefined) return;
    this.#sizeBytes += chunk.length;
    if (this.#sizeBytes > (this.#ports.policy.current?.maxMessageBytes ?? 0)) {
      return this.#refuse(tooLarge);
    }
    this.#checks.write(chunk);
    if (this.#handover !== undefined) return this.#handover.write(chunk);
    const heldBytes = chunk.length + pieceBytes;
    if (!this.#ports.overload.hold(heldBytes)) return this.#refuse(noRoom);
    this.#heldBytes += heldBytes;
    this.#held.push(chunk);
    if (this.#sizeBytes > holdBytes) return this.#startStreaming();
  }

  async end(facts: ContentFacts): Promise<Reply> {
    const fromMs = this.#ports.clock.tickMs();
    this.#step("content", `${facts.sizeBytes} octets received`);
    const reply = this.#refusal ?? (await this.#handIn(facts).finally(() => this.#letGo()));
    const { id } = this.#transaction;
    if (isPositive(reply)) {
      this.#ports.events.kept(id, (this.#ports.clock.tickMs() - fromMs) / 1000);
    } else this.#tellRefused(reply);
    return reply;
  }

  abort(why: string): void {
    this.#aborted = why;
    this.#letGo();
    this.#handover?.abort(why);
  }

  async #handIn(facts: ContentFacts): Promise<Reply> {
    const judged = await this.#judge();
    if (judged.refusal !== undefined) {
      this.#handover?.abort("refused");
      return judged.refusal;
    }
    const { verdicts, source } = judged.findings;
    const end = { ...facts, verdicts, source, decision: judged.decision };
    if (this.#handover !== undefined) {
      return this.#handover.end({ ...end, steps: this.#steps.slice(this.#sentSteps) });
    }
    return this.#ports.depositor.whole(await this.#deposit(), this.#held, { ...end, steps: [] });
  }

  /** Larger than may be held: it passes through, and is judged when all of it has been seen. */
  async #startStreaming(): Promise<void> {
    const handover = await this.#ports.depositor.stream(await this.#deposit());
    if (this.#aborted !== undefined) return handover.abort(this.#aborted);
    this.#handover = handover;
    const held = this.#held;
    this.#held = [];
    for (const chunk of held) await handover.write(chunk);
    this.#letGo();
  }

  #letGo(): void {
    this.#held = [];
    this.#ports.overload.release(this.#heldBytes);
    this.#heldBytes = 0;
  }

  async #judge(): Promise<Judgement> {
    const { policy, receivedLimit, events } = this.#ports;
    const [findings, { reverseName }] = await Promise.all([this.#checks.finish(), this.#named()]);
    events.checked(findings.verdicts);
    if (reverseName !== undefined) this.#step("checked", `the client's name is ${reverseName}`);
    for (const text of inWords(findings)) this.#step("checked", text);
    const snapshot = policy.current;
    const opinions: Opinion[] = [];
    if (snapshot !== undefined) opinions.push(...weighIdentity(findings.verdicts, snapshot.rules));
    const loop = looping(findings.header, receivedLimit, this.#ports.hostname);
    if (loop !== undefined) opinions.push(loop);
    opinions.push(...this.#opinions, ...this.#weighReplay(findings.verdicts));
    const decision = decide(opinions);
    this.#step("decided", `${decision.disposition}: ${decision.opinions[0]?.because ?? ""}`);
    const common = { decision, findings };
    this.#judged = { verdicts: findings.verdicts.map(inShort), source: findings.source, decision };
    if (snapshot === undefined) return { ...common, refusal: notReady };
    const refused = decision.disposition === "reject" || decision.disposition === "defer";
    return refused ? { ...common, refusal: replyTo(decision) } : common;
  }

  /** Many copies of one signed message (RFC 6376 §8.6). */
  #weighReplay(verdicts: readonly Verdict[]): readonly Opinion[] {
    const { replays, replayLimit, events } = this.#ports;
    const { id, envelope } = this.#transaction;
    const paths = envelope.recipients.map(({ path }) => path);
    const repeated = replays.count(verdicts, paths);
    if (repeated === undefined || replayLimit === 0 || repeated.messages <= replayLimit) return [];
    const { domain, messages } = repeated;
    const because = `a signature of ${domain} came with ${messages} messages within an hour`;
    events.replayed(id, domain, messages);
    this.#step("checked", because);
    return [{ stage: "replay", disposition: "quarantine", because }];
  }

  /** With the client's name, which the DNS may still be asked for. */
  async #named(): Promise<Connection> {
    const reverseName = await this.#reverseName;
    const { connection } = this.#transaction;
    this.#connection = { ...connection, ...(reverseName !== undefined && { reverseName }) };
    return this.#connection;
  }

  async #deposit(): Promise<Deposit> {
    const connection = await this.#named();
    this.#step("deposited", "handed to the inside");
    this.#sentSteps = this.#steps.length;
    const { id, envelope, receivedAtMs } = this.#transaction;
    return {
      id,
      receivedBy: this.#ports.hostname,
      connection,
      envelope,
      receivedAtMs,
      steps: [...this.#steps],
    };
  }

  #refuse(reply: Reply): void {
    this.#refusal = reply;
    this.#letGo();
    this.#handover?.abort("refused");
  }

  #tellRefused(reply: Reply): void {
    const { id, envelope } = this.#transaction;
    const { events, refusals, clock } = this.#ports;
    events.refused(id, "content", reply.code, String(reply.text));
    refusals.add({
      id,
      atMs: clock.nowMs(),
      connection: this.#connection,
      reversePath: envelope.reversePath,
      recipients: envelope.recipients.map(({ path }) => path),
      reply,
      steps: this.#steps,
      ...(this.#judged && { judged: this.#judged }),
    });
  }

  #step(step: string, text: string): void {
    const atMs = this.#ports.clock.nowMs();
    this.#steps.push({ atMs, program: "edge-smtp", step, text: text.slice(0, 1000) });
  }
}

/** What the checks are told of a connection and its reverse path. */
export function deliveredOf(
  { clientAddress: ip, helo }: Connection,
  mailFrom: string,
  receiver: string,
): Delivered {
  return { ip, helo, mailFrom, receiver };
}

/** What is told again and again in the trace's own words would fill the header of a batch. */
function inShort(verdict: RefusedFor["verdicts"][number]): RefusedFor["verdicts"][number] {
  return "why" in verdict ? { ...verdict, why: "" } : verdict;
}

function firstSteps({ connection, envelope }: Transaction, dialogue: Dialogue): TraceStep[] {
  const { clientAddress, helo } = connection;
  const program = "edge-smtp";
  const steps: TraceStep[] = [];
  if (dialogue.connectedAtMs !== undefined) {
    const text = `connection from ${clientAddress}`;
    steps.push({ atMs: dialogue.connectedAtMs, program, step: "connected", text });
  }
  const mail = `${helo.slice(0, 255)} sends ${coverOf(connection)}${wayOf(connection)}`;
  steps.push({ atMs: dialogue.mailAtMs, program, step: "mail", text: mail });
  const count = envelope.recipients.length;
  const recipients = `${count} recipient${count === 1 ? "" : "s"} accepted`;
  steps.push({ atMs: dialogue.recipientsAtMs, program, step: "recipient", text: recipients });
  return steps;
}

function coverOf({ tls }: Connection): string {
  if (tls === undefined) return "without TLS";
  const { version, cipher, group, peerCertificate, proof } = tls;
  const exchange = group === undefined ? "" : ` by ${group}`;
  const stood = proof === undefined ? "unproven" : "pinned";
  const shown = peerCertificate === undefined ? "" : `, ${stood} certificate ${peerCertificate}`;
  return `over ${version} with ${cipher}${exchange}${shown}`;
}

function wayOf({ connector, authenticated }: Connection): string {
  if (connector === undefined) return "";
  return `, by connector ${connector}${authenticated === undefined ? "" : ` as ${authenticated}`}`;
}

/** Ours: lists and forwarding bring a message back twice, a loop for ever. */
const ownVisits = 3;

/** RFC 5321 §6.3. */
function looping(header: Header, limit: number, hostname: string): Opinion | undefined {
  const received = fields(header, "received");
  const loop = { stage: "loop", disposition: "reject", status: "4.6" } as const;
  if (received.length > limit) return { ...loop, because: `more than ${limit} Received fields` };
  const own = received.filter((field) => {
    return parseReceived(valueOf(header, field)).by?.toLowerCase() === hostname.toLowerCase();
  });
  if (own.length <= ownVisits) return undefined;
  return { ...loop, because: `it was here ${own.length} times already` };
}

/** A line for each verdict, and where the message came from when that is not the client. */
function inWords({ verdicts, source }: Findings): string[] {
  const lines = verdicts.map(formatResult);
  if (source.kind === "direct") return lines;
  const from =
    source.kind === "relayed"
      ? `sent by ${source.address}, behind ${source.passed} relays of ours`
      : "a relay of ours does not say who gave it the message";
  return [from, ...lines];
}
