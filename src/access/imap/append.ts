/** APPEND: the message streams into the store and appears whole or not at all (RFC 9051 §6.3.12). */

import type { Buffer } from "node:buffer";
import type { ContentWriter } from "#contracts/store";
import { parseInternalDate } from "#formats/date";
import {
  type AppendCommand,
  type ParsedCommand,
  parseAppendStart,
  type ReaderEvent,
} from "#formats/imap";
import type { Mailbox } from "#model/mailbox";
import { type Answer, answerTo, bad, no, ok, type Talk } from "./context.ts";
import { findMailbox } from "./mailbox-access.ts";

export class Appending {
  readonly tag: string;
  readonly #talk: Talk;
  readonly #command: AppendCommand | undefined;
  readonly #sizeBytes: number;
  readonly #binary: boolean;
  #refusal: Answer | undefined;
  #mailbox: Mailbox | undefined;
  #writer: ContentWriter | undefined;

  /** The APPEND whose message this literal is; undefined when it is some other literal. */
  static at(talk: Talk, event: ReaderEvent & { kind: "literal" }): Appending | undefined {
    const parsed = parseAppendStart(event.raw);
    return parsed && new Appending(talk, event, parsed);
  }

  private constructor(talk: Talk, event: ReaderEvent & { kind: "literal" }, parsed: ParsedCommand) {
    this.#talk = talk;
    this.tag = parsed.tag;
    this.#sizeBytes = event.sizeBytes;
    this.#binary = event.binary;
    if (!parsed.ok) this.#refusal = bad(parsed.fault);
    else if (parsed.command.name === "APPEND") this.#command = parsed.command;
  }

  /** What speaks against taking the message; undefined when it may come. */
  async start(): Promise<Answer | undefined> {
    this.#refusal ??= await this.#judge();
    if (this.#refusal === undefined) this.#writer = this.#talk.shared.store.stage();
    return this.#refusal;
  }

  /** One piece of the message. What cannot be kept is read over and refused at the end. */
  take(chunk: Buffer): Promise<void> | undefined {
    if (this.#refusal !== undefined) return undefined;
    // Only a literal8 may hold NUL (RFC 9051 §9).
    if (!this.#binary && chunk.includes(0)) return this.#refuse(bad("NUL in a message"));
    try {
      const waiting = this.#writer?.write(chunk);
      return waiting?.catch((error: unknown) => this.#fail(error));
    } catch (error) {
      return this.#fail(error);
    }
  }

  #fail(error: unknown): undefined {
    this.#talk.shared.events.failed("APPEND", error);
    return this.#refuse(answerTo(error));
  }

  #refuse(answer: Answer): undefined {
    this.abort();
    this.#refusal = answer;
  }

  /** @param rest what stands behind the message on the command's last line */
  async finish(rest: string): Promise<Answer> {
    const writer = this.#writer;
    const mailbox = this.#mailbox;
    const command = this.#command;
    if (this.#refusal !== undefined || !writer || !mailbox || !command) {
      return this.#refusal ?? bad("APPEND failed");
    }
    if (rest !== (command.utf8 ? ")" : "")) {
      this.abort();
      return bad("One message at a time");
    }
    const { shared } = this.#talk;
    const date = command.internalDate;
    const receivedAtMs =
      (date === undefined ? null : parseInternalDate(date)) ?? shared.clock.nowMs();
    const content = await writer.finish();
    this.#writer = undefined;
    const entry = await shared.store.mailboxes.append(mailbox.account, mailbox.id, content, {
      flags: [...new Set(command.flags)],
      receivedAtMs,
    });
    shared.events.appended(content.sizeBytes);
    const { view } = this.#talk;
    if (view?.mailbox.id === mailbox.id) view.noteAdded(entry.uid);
    return ok("APPEND completed", `APPENDUID ${mailbox.uidValidity} ${entry.uid}`);
  }

  /** Nothing of the message stays. */
  abort(): void {
    if (this.#writer === undefined) return;
    this.#writer.abort();
    this.#writer = undefined;
    this.#talk.shared.events.appendAborted();
  }

  async #judge(): Promise<Answer | undefined> {
    const command = this.#command;
    if (command === undefined) return bad("APPEND failed");
    const { maxMessageBytes } = this.#talk.shared.limits;
    if (this.#sizeBytes > maxMessageBytes) return no("Message too large", "TOOBIG");
    if (this.#sizeBytes === 0) return no("APPEND cancelled");
    const date = command.internalDate;
    if (date !== undefined && parseInternalDate(date) === null) return bad("Bad date");
    this.#mailbox = await findMailbox(this.#talk, command.mailbox);
    if (this.#mailbox === undefined) return no("No such mailbox", "TRYCREATE");
    return undefined;
  }
}
