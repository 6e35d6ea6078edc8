/** Content on its way: held while it is small, judged, and handed in; 250 only when it is kept. */

import { Buffer } from "node:buffer";
import type { Deposit, DepositEnd } from "#contracts/deposit";
import { muxDefaults } from "#contracts/link";
import type { Decision, Opinion } from "#model/decision";
import type { Reply } from "#model/reply";
import { isPositive } from "#model/reply";
import type { TraceStep } from "#model/trace";
import type { Verdict } from "#model/verdict";
import { decide, replyTo, weighSpf } from "#policy";
import type { ContentFacts, ContentSink, Transaction } from "#transport/smtp-server";
import type { Handover } from "./deposit.ts";
import type { Dialogue, InboundPorts } from "./inbound.ts";

/** What one window of the link takes: such a message is one write, and can be sent again. */
const holdBytes: number = muxDefaults.windowBytes;

const tooLarge: Reply = { code: 552, status: "5.3.4", text: "message too large" };
const notReady: Reply = { code: 451, status: "4.3.2", text: "not ready yet, try again later" };

interface Judgement {
  readonly decision: Decision;
  readonly verdicts: readonly Verdict[];
  /** Set when the message is not taken. */
  readonly refusal?: Reply;
}

export class MessageSink implements ContentSink {
  readonly #ports: InboundPorts;
  readonly #transaction: Transaction;
  readonly #dialogue: Dialogue;
  readonly #steps: TraceStep[];
  #held: Buffer[] = [];
  #sizeBytes = 0;
  #handover: Handover | undefined;
  /** The rest is read only to be forgotten, and then this is said. */
  #refusal: Reply | undefined;
  #aborted: string | undefined;

  constructor(ports: InboundPorts, transaction: Transaction, dialogue: Dialogue) {
    this.#ports = ports;
    this.#transaction = transaction;
    this.#dialogue = dialogue;
    this.#steps = firstSteps(transaction, dialogue);
  }

  write(chunk: Buffer): void | Promise<void> {
    if (this.#refusal !== undefined) return;
    this.#sizeBytes += chunk.length;
    if (this.#sizeBytes > (this.#ports.policy.current?.maxMessageBytes ?? 0)) {
      return this.#refuse(tooLarge);
    }
    if (this.#handover !== undefined) return this.#handover.write(chunk);
    this.#held.push(chunk);
    if (this.#sizeBytes > holdBytes) return this.#startStreaming();
  }

  async end(facts: ContentFacts): Promise<Reply> {
    const fromMs = this.#ports.clock.tickMs();
    this.#step("content", `${facts.sizeBytes} octets received`);
    const reply = this.#refusal ?? (await this.#handIn(facts));
    const { id } = this.#transaction;
    if (isPositive(reply)) {
      this.#ports.events.kept(id, (this.#ports.clock.tickMs() - fromMs) / 1000);
    } else this.#tellRefused(reply);
    return reply;
  }

  abort(why: string): void {
    this.#aborted = why;
    this.#held = [];
    this.#handover?.abort(why);
  }

  async #handIn(facts: ContentFacts): Promise<Reply> {
    if (this.#handover !== undefined) {
      // The deposit's own steps have left already; the end takes the last one along.
      return this.#handover.end({ ...facts, steps: this.#steps.slice(-1) });
    }
    const judged = await this.#judge();
    if (judged.refusal !== undefined) return judged.refusal;
    const end: DepositEnd = { ...facts, steps: [] };
    return this.#ports.depositor.whole(this.#deposit(judged), this.#held, end);
  }

  /** Larger than may be held: what came so far decides, then the rest passes through. */
  async #startStreaming(): Promise<void> {
    const judged = await this.#judge();
    if (judged.refusal !== undefined) return this.#refuse(judged.refusal);
    const handover = await this.#ports.depositor.stream(this.#deposit(judged));
    if (this.#aborted !== undefined) return handover.abort(this.#aborted);
    this.#handover = handover;
    const held = this.#held;
    this.#held = [];
    for (const chunk of held) await handover.write(chunk);
  }

  async #judge(): Promise<Judgement> {
    const { policy, receivedLimit, events } = this.#ports;
    const snapshot = policy.current;
    const verdict = await this.#dialogue.spf;
    events.spf(verdict);
    this.#step("checked", `spf=${verdict.result} for ${verdict.domain}: ${verdict.why}`);
    const opinions: Opinion[] = [];
    if (snapshot !== undefined) opinions.push(weighSpf(verdict, snapshot.spf));
    const hops = countReceived(this.#held, receivedLimit);
    if (hops > receivedLimit) opinions.push(looping(receivedLimit));
    const decision = decide(opinions);
    this.#step("decided", `${decision.disposition}: ${decision.opinions[0]?.because ?? ""}`);
    const common = { decision, verdicts: [verdict] };
    if (snapshot === undefined) return { ...common, refusal: notReady };
    const refused = decision.disposition === "reject" || decision.disposition === "defer";
    return refused ? { ...common, refusal: replyTo(decision) } : common;
  }

  #deposit({ decision, verdicts }: Judgement): Deposit {
    this.#step("deposited", "handed to the inside");
    const { id, connection, envelope, receivedAtMs } = this.#transaction;
    return {
      id,
      receivedBy: this.#ports.hostname,
      connection,
      envelope,
      verdicts,
      decision,
      receivedAtMs,
      steps: [...this.#steps],
    };
  }

  #refuse(reply: Reply): void {
    this.#refusal = reply;
    this.#held = [];
    this.#handover?.abort("refused");
  }

  #tellRefused(reply: Reply): void {
    const { id, connection, envelope } = this.#transaction;
    const { events, refusals, clock } = this.#ports;
    events.refused(id, "content", reply.code, String(reply.text));
    refusals.add({
      id,
      atMs: clock.nowMs(),
      connection,
      reversePath: envelope.reversePath,
      recipients: envelope.recipients.map(({ path }) => path),
      reply,
      steps: this.#steps,
    });
  }

  #step(step: string, text: string): void {
    const atMs = this.#ports.clock.nowMs();
    this.#steps.push({ atMs, program: "edge-smtp", step, text: text.slice(0, 1000) });
  }
}

function firstSteps({ connection, envelope }: Transaction, dialogue: Dialogue): TraceStep[] {
  const { clientAddress, helo, tls } = connection;
  const program = "edge-smtp";
  const steps: TraceStep[] = [];
  if (dialogue.connectedAtMs !== undefined) {
    const text = `connection from ${clientAddress}`;
    steps.push({ atMs: dialogue.connectedAtMs, program, step: "connected", text });
  }
  const cover = tls === undefined ? "without TLS" : `over ${tls.version} with ${tls.cipher}`;
  const mail = `${helo.slice(0, 255)} sends ${cover}`;
  steps.push({ atMs: dialogue.mailAtMs, program, step: "mail", text: mail });
  const count = envelope.recipients.length;
  const recipients = `${count} recipient${count === 1 ? "" : "s"} accepted`;
  steps.push({ atMs: dialogue.recipientsAtMs, program, step: "recipient", text: recipients });
  return steps;
}

function looping(limit: number): Opinion {
  const because = `more than ${limit} Received fields`;
  return { stage: "loop", disposition: "reject", because, status: "4.6" };
}

const received = Buffer.from("received:");

/** Received fields of the header section (RFC 5321 §6.3), counted no further than is asked. */
export function countReceived(chunks: readonly Buffer[], upTo: number): number {
  const [only] = chunks;
  const head = chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks);
  let count = 0;
  for (let at = 0; at < head.length && count <= upTo; ) {
    if (head[at] === 0x0d) break; // the empty line
    if (startsWithReceived(head, at)) count += 1;
    const lineEnd = head.indexOf(0x0a, at);
    if (lineEnd < 0) break;
    at = lineEnd + 1;
  }
  return count;
}

function startsWithReceived(head: Buffer, at: number): boolean {
  for (let index = 0; index < received.length; index += 1) {
    const octet = head[at + index] ?? 0;
    // Letters differ from their capitals in this bit alone; the colon has it set anyway.
    if ((octet | 0x20) !== received[index]) return false;
  }
  return true;
}
