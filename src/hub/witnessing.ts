/** Has the ledger's heads cosigned: every minute or thousand leaves, and whenever somebody asks. */

import type { Clock, Timer } from "#base/clock";
import { Denied, Unavailable } from "#base/errors";
import type { Link, LinkStream } from "#contracts/link";
import {
  formatWitnessRequest,
  type HeadSource,
  parseWitnessAnswer,
  type WitnessAnswer,
} from "#contracts/witness";
import {
  cosignedAt,
  formatHead,
  formatNote,
  type Head,
  type NoteKey,
  parseSignatures,
  parseSignedHead,
} from "#formats/checkpoint";
import { verifyConsistency } from "#formats/merkle";
import type { LogSigner } from "./log-signer.ts";
import { isPassing, type WitnessEvents, type WitnessRefusal } from "./witness-events.ts";

/** The newest head that the witness has cosigned: what an auditor needs, and what is kept. */
export interface Cosigned {
  /** With the signatures of the log and of the witness. */
  readonly note: string;
  /** Both keys of the witness; whoever comes with others later is another witness. */
  readonly witnessKeys: readonly NoteKey[];
}

export interface WitnessingOptions {
  readonly source: HeadSource;
  readonly signer: LogSigner;
  /** Sixteen hexadecimal digits. */
  readonly storeId: string;
  /** A link that carries streams of kind witness, when one is up. */
  readonly linkNow: () => Link | undefined;
  readonly clock: Clock;
  readonly events: WitnessEvents;
  /** As it was last given to `cosigned`, if ever. */
  readonly last?: Cosigned;
  /** Keeps it. Not as a record of the ledger, which would grow by its own heads for ever. */
  readonly cosigned: (newest: Cosigned) => void | Promise<void>;
}

export interface Witnessing extends AsyncDisposable {
  readonly last: Cosigned | undefined;
  /**
   * Has the head as it is now cosigned.
   *
   * @throws Unavailable when there is no link, or when the witness or the keyring do not play along
   */
  now(): Promise<Cosigned>;
}

const everyMs = 60_000;
const everyLeaves = 1000;
const lookEveryMs = 1000;
const retryMs = 5000;
const answerWithinMs = 10_000;

export function startWitnessing(options: WitnessingOptions): Witnessing {
  return new Round(options);
}

/** Refused, and told already. */
class Refused extends Unavailable {
  readonly reason: WitnessRefusal;

  constructor(reason: WitnessRefusal) {
    super(`the head is not cosigned: ${reason}`);
    this.reason = reason;
  }
}

/** What a person must look at does not get better by asking often. */
function waitAfter(error: unknown): number {
  return error instanceof Refused && !isPassing(error.reason) ? everyMs : retryMs;
}

class Round implements Witnessing {
  last: Cosigned | undefined;
  readonly #options: WitnessingOptions;
  #lastHead: Head | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #busy = false;
  #triedSize = 0;
  #stopped = false;
  #asked: LinkStream | undefined;
  #dueAtMs: number;
  #timer: Timer;

  constructor(options: WitnessingOptions) {
    this.#options = options;
    this.last = options.last;
    this.#lastHead = options.last && headOf(options.last.note);
    this.#dueAtMs = options.clock.tickMs();
    this.#timer = options.clock.after(0, () => this.#look());
  }

  now(): Promise<Cosigned> {
    const turn = this.#turn.catch(() => {}).then(() => this.#once());
    this.#turn = turn;
    return turn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer.cancel();
    this.#stopped = true;
    this.#asked?.abort("hub stops");
    await this.#turn.catch(() => {});
  }

  #look(): void {
    const { clock, source, linkNow } = this.#options;
    this.#timer = clock.after(lookEveryMs, () => this.#look());
    if (this.#busy || linkNow() === undefined) return;
    const { size } = source.head();
    const many = size - this.#triedSize >= everyLeaves;
    const nowMs = clock.tickMs();
    // A retry waits its time even when leaves come fast.
    if (nowMs < this.#dueAtMs && !(many && this.#dueAtMs - nowMs > retryMs)) return;
    this.#busy = true;
    this.#triedSize = size;
    void this.now()
      .then(() => everyMs, waitAfter)
      .then((waitMs) => {
        this.#dueAtMs = clock.tickMs() + waitMs;
        this.#busy = false;
      });
  }

  async #once(): Promise<Cosigned> {
    const { linkNow, events, cosigned } = this.#options;
    try {
      const link = linkNow();
      if (link === undefined) throw new Unavailable("no link to the witness");
      const newest = await this.#cosigned(link);
      await cosigned(newest);
      return newest;
    } catch (error) {
      if (!(error instanceof Refused)) events.failed(error);
      throw error instanceof Unavailable
        ? error
        : new Unavailable("head is not cosigned", { cause: error });
    }
  }

  async #cosigned(link: Link): Promise<Cosigned> {
    const { source, signer, storeId, clock } = this.#options;
    const { size, root } = source.head();
    const head = { origin: signer.origin, size, root, timeMs: clock.nowMs(), storeId };
    await this.#checkOwn(head);
    const text = formatHead(head);
    const signatures = await signer.sign(text).catch((error: unknown) => {
      if (error instanceof Denied) this.#refuse("keyring", size);
      throw error;
    });
    const note = formatNote({ text, signatures });
    const oldSize = this.#lastHead?.size ?? 0;
    let answer = await this.#ask(link, note, oldSize, size);
    const again = this.#otherOldSize(answer, size);
    if (again !== undefined) answer = await this.#ask(link, note, again, size);
    if ("refused" in answer) return this.#refuse(answer.refused, size);

    const witnessKeys = this.last?.witnessKeys ?? answer.keys;
    const added = parseSignatures(answer.cosignatures);
    const whole = { text, signatures: [...signatures, ...(added.ok ? added.value : [])] };
    const timeS = cosignedAt(whole, witnessKeys);
    if (timeS === undefined) return this.#refuse("other-witness", size);
    this.#lastHead = head;
    this.last = { note: formatNote(whole), witnessKeys };
    this.#options.events.cosigned(size, timeS);
    return this.last;
  }

  /** A tree that does not continue what was cosigned is not even signed: that is for a person. */
  async #checkOwn(head: Head): Promise<void> {
    const last = this.#lastHead;
    if (last === undefined) return;
    const grows = last.size <= head.size && last.storeId === head.storeId;
    const proof = grows ? await this.#options.source.consistency(last.size, head.size) : [];
    if (!grows || !verifyConsistency(last, head, proof)) this.#refuse("own-history", head.size);
  }

  /** The size to prove from, when the witness cosigned another one last than we know of. */
  #otherOldSize(answer: WitnessAnswer, size: number): number | undefined {
    if (!("refused" in answer) || answer.refused !== "old-size") return undefined;
    if (answer.last === undefined) {
      this.#options.events.refused("forgot", size);
      return 0;
    }
    const theirs = headOf(answer.last)?.size;
    return theirs === undefined || theirs > size ? undefined : theirs;
  }

  async #ask(link: Link, note: string, oldSize: number, size: number): Promise<WitnessAnswer> {
    const proof = await this.#options.source.consistency(oldSize, size);
    if (this.#stopped) throw new Unavailable("hub stops");
    const stream = link.open("witness", formatWitnessRequest({ note, oldSize, proof }));
    const giveUp = (): void => stream.abort("no answer in time");
    const timer = this.#options.clock.after(answerWithinMs, giveUp);
    this.#asked = stream;
    try {
      return parseWitnessAnswer(await stream.answered) ?? this.#refuse("misshapen", size);
    } finally {
      timer.cancel();
    }
  }

  #refuse(reason: WitnessRefusal, size: number): never {
    this.#options.events.refused(reason, size);
    throw new Refused(reason);
  }
}

function headOf(note: string): Head | undefined {
  const read = parseSignedHead(note);
  return read.ok ? read.value.head : undefined;
}
