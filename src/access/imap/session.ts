/** One connection: cuts its input into commands, runs them one after the other, tells what changed. */

import type { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import type { Person } from "#contracts/directory";
import { CommandReader, formatQuoted, parseCommand, type ReaderEvent, tagOf } from "#formats/imap";
import type { Change } from "#model/mailbox";
import { Appending } from "./append.ts";
import {
  type Answer,
  answerTo,
  bad,
  type Enabled,
  Gone,
  type Shared,
  type Talk,
} from "./context.ts";
import { dispatch, type Pending } from "./dispatch.ts";
import { tellNews } from "./news.ts";
import { Output } from "./output.ts";
import { type ImapLimits, loginCommandBytes } from "./parameters.ts";
import type { View } from "./view.ts";

/** Input that may wait while a command runs; the rest waits in the kernel. */
const pauseAboveBytes = 65_536;
/** One command runs this long before others get their turn. */
const sliceMs = 5;

export class Session implements Talk {
  readonly shared: Shared;
  readonly from: string;
  readonly out: Output;
  readonly enabled: Enabled = { rev2: false, utf8: false, condStore: false, qresync: false };
  person: Person | undefined;
  revocations = 0;
  appPassword: string | undefined;
  view: View | undefined;
  /** Monotonic; of the last sign of life. */
  lastActiveMs: number;
  readonly openedMs: number;
  readonly #socket: Duplex;
  readonly #reader: CommandReader = new CommandReader(loginCommandBytes);
  readonly #onClosed: (session: Session) => void;
  #busy = false;
  #paused = false;
  #ending = false;
  #closed = false;
  #draining = false;
  #sliceStartMs = 0;
  #badCommands = 0;
  #tag = "";
  #appending: Appending | undefined;
  /** A command that reads lines of its own: AUTHENTICATE, IDLE. */
  #pending: Pending | undefined;

  constructor(socket: Duplex, from: string, shared: Shared, onClosed: (session: Session) => void) {
    this.#socket = socket;
    this.from = from;
    this.shared = shared;
    this.#onClosed = onClosed;
    this.out = new Output(socket, shared.limits.outputHighWaterBytes);
    this.openedMs = this.lastActiveMs = shared.clock.tickMs();
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("drain", () => {
      this.lastActiveMs = shared.clock.tickMs();
      if (this.#idling) this.#tellWhileIdle();
    });
    socket.on("end", () => this.#end("client closed"));
    socket.on("error", () => this.destroy("connection broke"));
    socket.on("close", () => this.destroy("connection closed"));
    this.out.line(`* OK [CAPABILITY ${shared.capabilities.before}] ${shared.hostname} ready`);
    this.out.flush();
  }

  get utf8Names(): boolean {
    return this.enabled.utf8 || this.enabled.rev2;
  }

  get tagText(): string {
    return formatQuoted(this.#tag);
  }

  account(): string {
    if (this.person === undefined) throw new Gone("not logged in");
    return this.person.id;
  }

  /** A command is being carried out, or its input is awaited. */
  get working(): boolean {
    return this.#busy || this.#appending !== undefined;
  }

  breathe(): Promise<void> | undefined {
    if (this.out.closed) throw new Gone("client is gone");
    const usedMs = this.shared.clock.tickMs() - this.#sliceStartMs;
    return this.out.full || usedMs >= sliceMs ? this.#rest() : undefined;
  }

  async #rest(): Promise<void> {
    await this.out.drained();
    if (this.out.closed) throw new Gone("client is gone");
    this.out.flush();
    await new Promise<void>((resolve) => void setImmediate(resolve));
    this.#sliceStartMs = this.shared.clock.tickMs();
    this.lastActiveMs = this.#sliceStartMs;
  }

  changed(change: Change): void {
    this.view?.apply(change);
    if (this.#idling && !this.#busy) this.#tellWhileIdle();
  }

  /** @param nowMs monotonic */
  checkTime(nowMs: number, limits: ImapLimits): void {
    const silentMs = nowMs - this.lastActiveMs;
    const stalled = this.#ending || this.working || !this.out.empty;
    if (this.person === undefined) {
      // What a client says before it logs in does not make its time longer.
      if (nowMs - this.openedMs > 2 * limits.loginTimeoutMs) this.destroy("login time-out");
      else if (nowMs - this.openedMs > limits.loginTimeoutMs) this.bye("Login took too long");
    } else if (this.shared.revocations(this.person.id) !== this.revocations) {
      this.bye("Signed out everywhere, or the password was changed");
    } else if (!this.#isPasswordThere(this.person)) {
      this.bye("The app password was removed");
    } else if (stalled && silentMs > limits.stalledTimeoutMs) this.destroy("stalled");
    else if (silentMs > limits.idleTimeoutMs) this.bye("Silent for too long");
  }

  #isPasswordThere({ id }: Person): boolean {
    const { appPassword } = this;
    return appPassword === undefined || this.shared.directory.hasAppPassword(id, appPassword);
  }

  /** Ends the session with a BYE, after the command that runs. */
  drain(): void {
    this.#draining = true;
    if (!this.working) this.bye("Server is going down", "UNAVAILABLE");
  }

  bye(text: string, code?: string): void {
    if (this.#ending) return;
    this.out.line(`* BYE ${code === undefined ? "" : `[${code}] `}${text}`);
    this.#end(text);
  }

  destroy(why: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ending = true;
    this.#appending?.abort();
    this.#appending = undefined;
    this.shared.follow(this, undefined);
    this.view = undefined;
    this.out.close();
    this.#socket.destroy();
    const seconds = (this.shared.clock.tickMs() - this.openedMs) / 1000;
    this.shared.events.closed(this.from, why, seconds);
    this.#onClosed(this);
  }

  get #idling(): boolean {
    return this.#pending?.idle === true;
  }

  /** Sends what is left, then closes. A client that does not read is cut off by the sweep. */
  #end(why: string): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#appending?.abort();
    this.#appending = undefined;
    this.out.flush();
    this.#socket.end(() => this.destroy(why));
  }

  #receive(chunk: Buffer): void {
    if (this.#ending) return;
    this.lastActiveMs = this.shared.clock.tickMs();
    this.#reader.push(chunk);
    if (!this.#busy) this.#work();
    else if (this.#reader.bufferedBytes > pauseAboveBytes && !this.#paused) {
      this.#paused = true;
      this.#socket.pause();
    }
  }

  /** Takes events until input runs out or a command has to wait for something. */
  #work(): void {
    while (!this.#busy && !this.#ending) {
      const event = this.#reader.next();
      if (event === undefined) break;
      const waiting = this.#take(event);
      if (waiting === undefined) continue;
      this.#busy = true;
      void waiting.then(() => this.#resume());
    }
    if (!this.#closed && !this.#ending) this.out.flush();
    if (this.#paused && !this.#busy && !this.#ending) {
      this.#paused = false;
      this.#socket.resume();
    }
  }

  #resume(): void {
    this.#busy = false;
    if (this.#closed) return;
    this.lastActiveMs = this.shared.clock.tickMs();
    if (this.#draining && !this.working) return this.bye("Server is going down", "UNAVAILABLE");
    if (this.#idling) this.#tellWhileIdle();
    this.#work();
  }

  /** A promise while something is awaited; it never rejects. */
  #take(event: ReaderEvent): Promise<void> | undefined {
    switch (event.kind) {
      case "command":
        return this.#takeCommand(event.raw);
      case "literal":
        return this.#takeLiteral(event);
      case "octets":
        return this.#appending?.take(event.chunk);
      case "fault":
        this.shared.events.unreadable(event.fault);
        this.#complete(tagOf(event.firstLine) ?? "*", bad(faultTexts[event.fault]));
        this.#countBad();
        if (event.fatal) this.bye("Cannot tell where the next command begins");
        return undefined;
    }
  }

  #takeCommand(raw: {
    lines: readonly string[];
    literals: readonly Buffer[];
  }): Promise<void> | undefined {
    this.#sliceStartMs = this.shared.clock.tickMs();
    const appending = this.#appending;
    if (appending !== undefined) {
      this.#appending = undefined;
      const rest = raw.lines.at(-1) ?? "";
      return this.#run("APPEND", appending.tag, () => appending.finish(rest));
    }
    const pending = this.#pending;
    if (pending !== undefined) {
      this.#pending = undefined;
      return this.#run(pending.name, pending.tag, () => pending.line(raw.lines.join("")));
    }
    const parsed = parseCommand(raw);
    if (!parsed.ok) {
      this.shared.events.unreadable("syntax");
      this.#complete(parsed.tag, bad(parsed.fault));
      this.#countBad();
      return undefined;
    }
    this.#badCommands = 0;
    const { tag, command } = parsed;
    return this.#run(command.name, tag, () => dispatch(this, command, tag));
  }

  async #run(
    name: string,
    tag: string,
    work: () => Answer | Pending | Promise<Answer | Pending>,
  ): Promise<void> {
    const startMs = this.shared.clock.tickMs();
    this.#tag = tag;
    let outcome: Answer | Pending;
    try {
      outcome = await work();
      if ("line" in outcome) {
        this.#pending = outcome;
        return;
      }
      if (this.view?.hasNews === true) await tellNews(this, maySayExpunge(name, outcome));
    } catch (error) {
      if (error instanceof Gone) return this.destroy(error.message);
      outcome = answerTo(error);
      if (outcome.code === "SERVERBUG" || outcome.code === "UNAVAILABLE") {
        this.shared.events.failed(name, error);
      }
    }
    if (this.#ending) return;
    this.#complete(tag, outcome);
    const seconds = (this.shared.clock.tickMs() - startMs) / 1000;
    this.shared.events.command(name, outcome.status, seconds);
    if (this.person !== undefined) this.#reader.limitBytes = this.shared.limits.maxCommandBytes;
    if (outcome.end !== undefined) this.#end(outcome.end);
    else if (this.out.full) {
      this.out.flush();
      await this.out.drained();
    }
  }

  #complete(tag: string, { status, code, text }: Answer): void {
    this.out.line(`${tag} ${status} ${code === undefined ? "" : `[${code}] `}${text}`);
  }

  #countBad(): void {
    this.#badCommands += 1;
    if (this.#badCommands >= this.shared.limits.maxBadCommands) this.bye("Too many bad commands");
  }

  #takeLiteral(event: ReaderEvent & { kind: "literal" }): Promise<void> | undefined {
    const reader = this.#reader;
    if (this.person !== undefined && this.#pending === undefined) {
      const appending = Appending.at(this, event);
      if (appending !== undefined) return this.#startAppend(appending, event.synchronizing);
    }
    if (reader.collect()) {
      if (event.synchronizing) this.#invite();
      return undefined;
    }
    this.shared.events.unreadable("too-long");
    this.#complete(tagOf(event.raw.lines[0] ?? "") ?? "*", bad("Command too long"));
    reader.refuse();
    this.#countBad();
    if (!event.synchronizing) this.bye("Command too long");
    return undefined;
  }

  async #startAppend(appending: Appending, synchronizing: boolean): Promise<void> {
    let refusal: Answer | undefined;
    try {
      refusal = await appending.start();
    } catch (error) {
      refusal = answerTo(error);
      this.shared.events.failed("APPEND", error);
    }
    if (this.#closed || this.#ending) return appending.abort();
    if (refusal !== undefined && synchronizing) {
      this.#reader.refuse();
      this.#complete(appending.tag, refusal);
      this.shared.events.command("APPEND", refusal.status, 0);
      return;
    }
    this.#appending = appending;
    if (refusal !== undefined) this.#reader.discard();
    else {
      this.#reader.stream();
      if (synchronizing) this.#invite();
    }
  }

  #invite(): void {
    this.out.line("+ OK");
    this.out.flush();
  }

  /** In IDLE news go out at once, unless the client does not read: then they gather in the view. */
  #tellWhileIdle(): void {
    if (this.view?.hasNews !== true || this.out.full || this.#ending) return;
    this.#busy = true;
    void tellNews(this, true)
      .catch((error: unknown) => this.destroy(String(error)))
      .then(() => {
        this.out.flush();
        this.#resume();
      });
  }
}

const faultTexts = {
  "too-long": "Command too long",
  "bare-lf": "Lines end in CRLF",
  nul: "NUL in a command",
  "literal-out-of-range": "Literal out of range",
  "literal-not-synchronized": "Literals above 4096 octets must be synchronizing",
} as const;

/** RFC 9051 §7.5.1: sequence numbers stay as they are in answers that use them. */
function maySayExpunge(name: string, outcome: Answer): boolean {
  return outcome.holdsNumbers !== true && name !== "LOGOUT";
}
