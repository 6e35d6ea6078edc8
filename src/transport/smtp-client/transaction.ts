/** One message over an open session: MAIL, RCPT and the content (RFC 5321 §3.3, RFC 3030). */

import { Buffer } from "node:buffer";
import { Unavailable } from "#base/errors";
import { type Extensions, serverLimits, sizeLimit } from "#formats/smtp";
import type { Envelope } from "#model/envelope";
import { isPositive, type Reply } from "#model/reply";
import { formatMail, formatRecipient, isSafePath } from "./commands.ts";
import { peekHeader } from "./header-peek.ts";
import type { Timeouts } from "./parameters.ts";
import { faultReply, ourRefusals, tidyReply, unexpectedReply } from "./replies.ts";
import type { TlsFault } from "./tls-faults.ts";
import { Transparency } from "./transparency.ts";
import type { Watch, Wire } from "./wire.ts";

export type Phase = "greeting" | "hello" | "tls" | "login" | "mail" | "recipient" | "data" | "end";

/** How a step went wrong. */
export interface Failure {
  readonly phase: Phase;
  /** The reply is the server's; otherwise it is ours, because nothing readable came. */
  readonly answered: boolean;
  readonly reply: Reply;
  /** What was wrong with TLS, where that is known. */
  readonly fault?: TlsFault;
}

export interface OutgoingMail {
  readonly envelope: Envelope;
  readonly content: AsyncIterable<Buffer> | Buffer;
  readonly sizeBytes: number;
  readonly watch?: Watch;
}

export interface RecipientOutcome extends Failure {
  readonly path: string;
  /** The server took responsibility for this recipient. */
  readonly delivered: boolean;
  /** Not asked for, as the server takes no more in one transaction: a next one may (RFC 9422). */
  readonly isLeftOver?: boolean;
}

/** One outcome for each recipient, in their order. */
export type SendOutcome = readonly RecipientOutcome[];

/** What the session knows of the server. */
export interface TransactionTerms {
  readonly timeouts: Timeouts;
  readonly offered: Extensions;
  /** One reply for each recipient at the end (RFC 2033 §4.2). */
  readonly isLmtp: boolean;
  /** TLS was demanded, and the proof of who the server is stood. */
  readonly isProven: boolean;
}

/** What a BDAT chunk gathers: large enough that waiting for its reply costs little. */
const chunkBytes = 256 * 1024;

export class Transaction {
  readonly #wire: Wire;
  readonly #terms: TransactionTerms;
  readonly #timeouts: Timeouts;
  readonly #offered: Extensions;
  #mail: OutgoingMail;
  readonly #outcomes: (Failure | undefined)[];
  readonly #leftOver = new Set<number>();
  /** MAIL was accepted and nothing has ended the transaction since. */
  isOpen = false;
  /** The server offers CHUNKING and does not know BDAT. */
  hasBrokenChunking = false;

  constructor(wire: Wire, terms: TransactionTerms, mail: OutgoingMail) {
    this.#wire = wire;
    this.#terms = terms;
    this.#timeouts = terms.timeouts;
    this.#offered = terms.offered;
    this.#mail = mail;
    this.#outcomes = mail.envelope.recipients.map(() => undefined);
  }

  async run(): Promise<SendOutcome> {
    const refusal = refusalOf(this.#mail, this.#terms) ?? (await this.#headerRefusal());
    if (refusal !== undefined) this.#decide({ phase: "mail", answered: false, reply: refusal });
    else {
      await this.#sendEnvelope();
      if (this.#outcomes.includes(undefined)) this.#decide(await this.#sendContent());
    }
    return this.#mail.envelope.recipients.map(({ path }, index) => {
      const outcome = this.#outcomes[index];
      if (outcome === undefined) throw new Error("a recipient without an outcome");
      const delivered = outcome.phase === "end" && isPositive(outcome.reply);
      const isLeftOver = this.#leftOver.has(index);
      return { path, ...outcome, delivered, ...(isLeftOver && { isLeftOver }) };
    });
  }

  /** RFC 6531 §3.5: the wish for SMTPUTF8 binds only where something of the message needs it. */
  async #headerRefusal(): Promise<Reply | undefined> {
    const { envelope } = this.#mail;
    if (!envelope.utf8 || this.#offered.has("SMTPUTF8")) return undefined;
    const peeked = await peekHeader(this.#mail);
    this.#mail = { ...this.#mail, content: peeked.content };
    if (!peeked.hasUtf8Header) return undefined;
    await peeked.close();
    return ourRefusals.utf8Header;
  }

  /** With PIPELINING in one write (RFC 2920 §3.1); DATA waits, so that it is never sent in vain. */
  async #sendEnvelope(): Promise<void> {
    const { envelope, sizeBytes } = this.#mail;
    const pipelined = this.#offered.has("PIPELINING");
    const utf8 = envelope.utf8 === true || hasUtf8Address(envelope);
    const mail = formatMail({ ...envelope, utf8 }, sizeBytes, this.#offered);
    const recipients = this.#recipientCommands();
    if (!this.#outcomes.includes(undefined)) return;

    const count = recipients.filter((command) => command !== undefined).length;
    if (pipelined) this.#wire.write(mail + recipients.join(""), 1 + count);
    else this.#wire.write(mail);
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

  /** Undefined for those that are not asked for, because what becomes of them is known. */
  #recipientCommands(): (string | undefined)[] {
    const { recipients: limit = Number.POSITIVE_INFINITY } = serverLimits(this.#offered);
    let asked = 0;
    return this.#mail.envelope.recipients.map((recipient, index) => {
      const isSafe = isSafePath(recipient.path);
      if (isSafe && asked < limit) {
        asked += 1;
        return formatRecipient(recipient, this.#offered);
      }
      if (isSafe) this.#leftOver.add(index);
      const reply = isSafe ? tooManyRecipients(limit) : ourRefusals.path;
      this.#outcomes[index] = { phase: "recipient", answered: false, reply };
      return undefined;
    });
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
    if (this.#wire.hasReply) return this.#interrupted();
    this.#wire.expect(this.#finalReplies);
    this.#wire.commit();
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
      if (refused !== undefined) return this.#noBdat(refused) ?? refused;
      [gathered, size] = [[], 0];
    }
    const tail = safe.end();
    gathered.push(tail);
    this.#wire.commit();
    return (await this.#sendChunk(gathered, size + tail.length, " LAST")) ?? this.#finish();
  }

  async #sendChunk(parts: Buffer[], size: number, last: string): Promise<Failure | undefined> {
    this.#wire.expect(last === "" ? 1 : this.#finalReplies);
    const command = Buffer.from(`BDAT ${size}${last}\r\n`);
    const octets = Buffer.concat([command, ...parts]);
    const fault = await this.#wire.send(octets, this.#timeouts.dataBlockMs);
    return fault && failureOf(last === "" ? "data" : "end", fault, "while sending the content");
  }

  /** RFC 2033 §4.2: with LMTP one for each recipient that was accepted, in their order. */
  get #finalReplies(): number {
    return this.#terms.isLmtp ? this.#outcomes.filter((one) => one === undefined).length : 1;
  }

  async #finish(): Promise<Failure> {
    const when = "at the end of the content";
    const reply = await this.#wire.reply(this.#timeouts.dataEndMs);
    const first = failureOf("end", reply, when);
    const broken = this.#noBdat(first);
    if (broken !== undefined) return broken;
    // After a refused BDAT the server wants RSET (RFC 3030 §3); after a refused DATA it is harmless.
    this.isOpen = !isPositive(first.reply);
    if (!this.#terms.isLmtp) return first;
    for (const [index, known] of this.#outcomes.entries()) {
      if (known !== undefined) continue;
      const isFirst = !this.#outcomes.some((one) => one?.phase === "end");
      const own = isFirst ? reply : await this.#wire.reply(this.#timeouts.dataEndMs);
      this.#outcomes[index] = failureOf("end", own, when);
    }
    return first;
  }

  /**
   * A server that does not know BDAT after all reads the content as commands, whatever they are: the
   * connection ends at once, and the reply says nothing about the message.
   */
  #noBdat({ answered, reply }: Failure): Failure | undefined {
    const isUnknown = answered && (reply.code === 500 || reply.code === 502);
    if (!isUnknown || !this.#offered.has("CHUNKING")) return undefined;
    this.hasBrokenChunking = true;
    this.#wire.destroy();
    const text = `the server offers CHUNKING and answered ${reply.code} to BDAT`;
    return { phase: "data", answered: false, reply: { code: 451, status: "4.5.0", text } };
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
function refusalOf(
  { envelope, sizeBytes }: OutgoingMail,
  { offered, isProven }: TransactionTerms,
): Reply | undefined {
  const { reversePath } = envelope;
  if (envelope.requireTls && !(isProven && offered.has("REQUIRETLS")))
    return ourRefusals.requireTls;
  if (envelope.body === "binarymime") return ourRefusals.binary;
  if (hasUtf8Address(envelope) && !offered.has("SMTPUTF8")) return ourRefusals.utf8Address;
  const limit = offered.has("SIZE") ? sizeLimit(offered) : undefined;
  if (limit !== undefined && sizeBytes > limit) return ourRefusals.size;
  return reversePath !== "" && !isSafePath(reversePath) ? ourRefusals.path : undefined;
}

function hasUtf8Address({ reversePath, recipients }: Envelope): boolean {
  return [reversePath, ...recipients.map(({ path }) => path)].some((path) =>
    /[^\0-\x7f]/.test(path),
  );
}

function tooManyRecipients(limit: number): Reply {
  const text = `the server takes ${limit} recipients of a message at a time`;
  return { code: 452, status: "4.5.3", text };
}
