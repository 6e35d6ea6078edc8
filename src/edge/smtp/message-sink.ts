/** Content on its way: held while it is small, judged, and handed in; 250 only when it is kept. */

import type { Buffer } from "node:buffer";
import type { Deposit } from "#contracts/deposit";
import { muxDefaults } from "#contracts/link";
import { formatResult } from "#formats/auth-results";
import { fields } from "#formats/message";
import { type Delivered, type Findings, MessageChecks } from "#identity/checks";
import type { Connection } from "#model/connection";
import type { Decision, Opinion } from "#model/decision";
import type { Reply } from "#model/reply";
import { isPositive } from "#model/reply";
import type { TraceStep } from "#model/trace";
import { decide, replyTo, weighIdentity } from "#policy";
import type { ContentFacts, ContentSink, Transaction } from "#transport/smtp-server";
import type { Handover } from "./deposit.ts";
import type { Dialogue, InboundPorts } from "./inbound.ts";

/** What one window of the link takes: such a message is one write, and can be sent again. */
const holdBytes: number = muxDefaults.windowBytes;

const tooLarge: Reply = { code: 552, status: "5.3.4", text: "message too large" };
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
  #held: Buffer[] = [];
  #sizeBytes = 0;
  /** Steps that left with the deposit. */
  #sentSteps = 0;
  #handover: Handover | undefined;
  /** The rest is read only to be forgotten, and then this is said. */
  #refusal: Reply | undefined;
  #aborted: string | undefined;

  constructor(ports: InboundPorts, transaction: Transaction, dialogue: Dialogue) {
    this.#ports = ports;
    this.#transaction = transaction;
    this.#steps = firstSteps(transaction, dialogue);
    const { connection, envelope } = transaction;
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
    return this.#ports.depositor.whole(this.#deposit(), this.#held, { ...end, steps: [] });
  }

  /** Larger than may be held: it passes through, and is judged when all of it has been seen. */
  async #startStreaming(): Promise<void> {
    const handover = await this.#ports.depositor.stream(this.#deposit());
    if (this.#aborted !== undefined) return handover.abort(this.#aborted);
    this.#handover = handover;
    const held = this.#held;
    this.#held = [];
    for (const chunk of held) await handover.write(chunk);
  }

  async #judge(): Promise<Judgement> {
    const { policy, receivedLimit, events } = this.#ports;
    const findings = await this.#checks.finish();
    events.checked(findings.verdicts);
    for (const text of inWords(findings)) this.#step("checked", text);
    const snapshot = policy.current;
    const opinions: Opinion[] = [];
    if (snapshot !== undefined) opinions.push(...weighIdentity(findings.verdicts, snapshot.rules));
    if (fields(findings.header, "received").length > receivedLimit) {
      opinions.push(looping(receivedLimit));
    }
    const decision = decide(opinions);
    this.#step("decided", `${decision.disposition}: ${decision.opinions[0]?.because ?? ""}`);
    const common = { decision, findings };
    if (snapshot === undefined) return { ...common, refusal: notReady };
    const refused = decision.disposition === "reject" || decision.disposition === "defer";
    return refused ? { ...common, refusal: replyTo(decision) } : common;
  }

  #deposit(): Deposit {
    this.#step("deposited", "handed to the inside");
    this.#sentSteps = this.#steps.length;
    const { id, connection, envelope, receivedAtMs } = this.#transaction;
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

/** What the checks are told of a connection and its reverse path. */
export function deliveredOf(
  { clientAddress: ip, helo }: Connection,
  mailFrom: string,
  receiver: string,
): Delivered {
  return { ip, helo, mailFrom, receiver };
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
