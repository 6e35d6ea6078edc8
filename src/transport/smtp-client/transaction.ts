/** One message over an open session: MAIL, RCPT and the content (RFC 5321 §3.3, RFC 3030). */

import { Buffer } from "node:buffer";
import { Unavailable } from "#base/errors";
import { type Extensions, sizeLimit } from "#formats/smtp";
import type { Envelope } from "#model/envelope";
import { isPositive, type Reply } from "#model/reply";
import { formatMail, formatRecipient, isSafePath } from "./commands.ts";
import type { Timeouts } from "./parameters.ts";
import { faultReply, ourRefusals, tidyReply, unexpectedReply } from "./replies.ts";
import { Transparency } from "./transparency.ts";
import type { Wire } from "./wire.ts";

export type Phase = "greeting" | "hello" | "tls" | "mail" | "recipient" | "data" | "end";

/** How a step went wrong. */
export interface Failure {
  readonly phase: Phase;
  /** The reply is the server's; otherwise it is ours, because nothing readable came. */
  readonly answered: boolean;
  readonly reply: Reply;
}

export interface OutgoingMail {
  readonly envelope: Envelope;
  readonly content: AsyncIterable<Buffer> | Buffer;
  readonly sizeBytes: number;
}

export interface RecipientOutcome extends Failure {
  readonly path: string;
  /** The server took responsibility for this recipient. */
  readonly delivered: boolean;
}

/** One outcome for each recipient, in their order. */
export type SendOutcome = readonly RecipientOutcome[];

/** What a BDAT chunk gathers: large enough that waiting for its reply costs little. */
const chunkBytes = 256 * 1024;

export class Transaction {
  readonly #wire: Wire;
  readonly #timeouts: Timeouts;
  readonly #offered: Extensions;
  readonly #mail: OutgoingMail;
  readonly #outcomes: (Failure | undefined)[];
  /** MAIL was accepted and nothing has ended the transaction since. */
  isOpen = false;

  constructor(wire: Wire, timeouts: Timeouts, offered: Extensions, mail: OutgoingMail) {
    this.#wire = wire;
    this.#timeouts = timeouts;
    this.#offered = offered;
    this.#mail = mail;
    this.#outcomes = mail.envelope.recipients.map(() => undefined);
  }

  async run(): Promise<SendOutcome> {
    const refusal = refusalOf(this.#mail, this.#offered);
    if (refusal !== undefined) this.#decide({ phase: "mail", answered: false, reply: refusal });
    else {
      await this.#sendEnvelope();
      if (this.#outcomes.includes(undefined)) this.#decide(await this.#sendContent());
    }
    return this.#mail.envelope.recipients.map(({ path }, index) => {
      const outcome = this.#outcomes[index];
      if (outcome === undefined) throw new Error("a recipient without an outcome");
      return { path, ...outcome, delivered: outcome.phase === "end" && isPositive(outcome.reply) };
    });
  }

  /** With PIPELINING in one write (RFC 2920 §3.1); DATA waits, so that it is never sent in vain. */
  async #sendEnvelope(): Promise<void> {
    const { envelope, sizeBytes } = this.#mail;
    const pipelined = this.#offered.has("PIPELINING");
    const mail = formatMail(envelope, sizeBytes, this.#offered);
    const recipients = envelope.recipients.map((recipient, index) => {
      if (isSafePath(recipient.path)) return formatRecipient(recipient, this.#offered);
      this.#outcomes[index] = { phase: "recipient", answered: false, reply: ourRefusals.path };
      return undefined;
    });
    if (!this.#outcomes.includes(undefined)) return;

    this.#wire.write(pipelined ? mail + recipients.join("") : mail);
    const refused = await this.#expect("mail", "after MAIL", this.#timeouts.mailMs);
    if (refused === undefined) this.isOpen = true;
    else if (!pipelined || !refused.answered) return this.#decide(refused);
    for (const [index, command] of recipients.entries()) {
      if (command === undefined) continue;
      if (!pipelined) this.#wire.write(command);
      const answer = await this.#expect("recipient", "after RCPT", this.#timeouts.recipientMs);
      if (answer !== undefined && !answer.answered) return this.#decide(refused ?? answer);
      this.#outcomes[index] = refused ?? answer;
    }
  }

  #sendContent(): Promise<Failure> {
    return this.#offered.has("CHUNKING") ? this.#sendChunks() : this.#sendData();
  }

  async #sendData(): Promise<Failure> {
    this.#wire.write("DATA\r\n");
    const go = await this.#wire.reply(this.#timeouts.dataStartMs);
    if (typeof go === "string" || go.code !== 354) return failureOf("data", go, "after DATA");
    const safe = new Transparency(true);
    for await (const chunk of this.#chunks()) {
      const fault = await this.#wire.send(safe.push(chunk), this.#timeouts.dataBlockMs);
      if (fault !== undefined) return failureOf("data", fault, "while sending the content");
      if (this.#wire.hasReply) return this.#interrupted();
    }
    const tail = Buffer.concat([safe.end(), Buffer.from(".\r\n")]);
    const fault = await this.#wire.send(tail, this.#timeouts.dataBlockMs);
    if (fault !== undefined) return failureOf("end", fault, "at the end of the content");
    return this.#finish();
  }

  async #sendChunks(): Promise<Failure> {
    const safe = new Transparency(false);
    let gathered: Buffer[] = [];
    let size = 0;
    for await (const chunk of this.#chunks()) {
      const ready = safe.push(chunk);
      gathered.push(ready);
      size += ready.length;
      if (size < chunkBytes) continue;
      const failure = await this.#sendChunk(gathered, size, "");
      if (failure !== undefined) return failure;
      const refused = await this.#expect("data", "after BDAT", this.#timeouts.dataBlockMs);
      if (refused !== undefined) return refused;
      [gathered, size] = [[], 0];
    }
    const tail = safe.end();
    gathered.push(tail);
    return (await this.#sendChunk(gathered, size + tail.length, " LAST")) ?? this.#finish();
  }

  async #sendChunk(parts: Buffer[], size: number, last: string): Promise<Failure | undefined> {
    const command = Buffer.from(`BDAT ${size}${last}\r\n`);
    const octets = Buffer.concat([command, ...parts]);
    const fault = await this.#wire.send(octets, this.#timeouts.dataBlockMs);
    return fault && failureOf(last === "" ? "data" : "end", fault, "while sending the content");
  }

  async #finish(): Promise<Failure> {
    const reply = await this.#wire.reply(this.#timeouts.dataEndMs);
    // After a refused BDAT the server wants RSET (RFC 3030 §3); after a refused DATA it is harmless.
    if (typeof reply !== "string" && isPositive(reply)) this.isOpen = false;
    return failureOf("end", reply, "after the content");
  }

  /** A reply in the middle of the content: the server gave up; what it reads next is our mail. */
  async #interrupted(): Promise<Failure> {
    const reply = await this.#wire.reply(0);
    this.#wire.destroy();
    return failureOf("data", reply, "while sending the content");
  }

  /** Fails rather than end a message that is not whole: the connection breaks off without the end. */
  async *#chunks(): AsyncGenerator<Buffer> {
    const { content, sizeBytes } = this.#mail;
    let sent = 0;
    try {
      for await (const chunk of Buffer.isBuffer(content) ? [content] : content) {
        sent += chunk.length;
        yield chunk;
      }
      if (sent !== sizeBytes) throw new Unavailable(`content has ${sent} of ${sizeBytes} octets`);
    } catch (error) {
      this.#wire.destroy();
      throw error;
    }
  }

  async #expect(phase: Phase, when: string, timeoutMs: number): Promise<Failure | undefined> {
    const reply = await this.#wire.reply(timeoutMs);
    if (typeof reply !== "string" && reply.code < 300) return undefined;
    return failureOf(phase, reply, when);
  }

  /** For every recipient that has no outcome of its own. */
  #decide(outcome: Failure): void {
    for (const [index, known] of this.#outcomes.entries()) {
      if (known === undefined) this.#outcomes[index] = outcome;
    }
  }
}

/** The outcome of a step from what came; a 2xx is the good one only at the end. */
export function failureOf(phase: Phase, got: Reply | string, when: string): Failure {
  if (typeof got === "string") {
    return { phase, answered: false, reply: faultReply(got as "closed", when) };
  }
  const fits = got.code >= 400 || (phase === "end" && got.code < 300);
  return { phase, answered: true, reply: fits ? tidyReply(got) : unexpectedReply(got, when) };
}

/** What need not be tried, because the server said in its EHLO reply that it cannot. */
function refusalOf({ envelope, sizeBytes }: OutgoingMail, offered: Extensions): Reply | undefined {
  const { reversePath, recipients } = envelope;
  const beyondAscii = [reversePath, ...recipients.map(({ path }) => path)].some((path) =>
    /[^\0-\x7f]/.test(path),
  );
  if ((envelope.utf8 || beyondAscii) && !offered.has("SMTPUTF8")) return ourRefusals.utf8;
  const limit = offered.has("SIZE") ? sizeLimit(offered) : undefined;
  if (limit !== undefined && sizeBytes > limit) return ourRefusals.size;
  return reversePath !== "" && !isSafePath(reversePath) ? ourRefusals.path : undefined;
}
