/**
 * A witness: remembers the last head of a log, and cosigns only heads that continue it (in the manner
 * of C2SP tlog-witness). Whoever holds the store and all keys of the log can still not make it cosign
 * another past. It keeps one head and two keys, whatever the size of the log.
 */

import { join } from "node:path";
import type { Clock } from "#base/clock";
import {
  formatWitnessAnswer,
  parseWitnessRequest,
  type WitnessAnswer,
  type WitnessFault,
  type WitnessRequest,
} from "#contracts/witness";
import {
  cosignHead,
  formatNote,
  formatSignature,
  type Head,
  isSignedBy,
  type NoteKey,
  parseSignedHead,
  type SignedHead,
  signedBy,
} from "#formats/checkpoint";
import { verifyConsistency } from "#formats/merkle";
import { type HeadFile, openHeadFile } from "./witness/head-file.ts";
import { openWitnessKeys, type WitnessKey } from "./witness/keys.ts";

export interface WitnessOptions {
  /** Where its keys and the last head lie. */
  readonly folder: string;
  /** Lasting name of the witness: a host name and path. It is kept with the keys. */
  readonly name: string;
  /** The pinned keys of the log, of one or more generations; none while they are not known. */
  readonly logKeys: () => readonly NoteKey[];
  readonly clock: Clock;
}

/** In its folder. Removing the first makes it begin anew; removing the second makes it another. */
const files = { head: "witness.head", keys: "witness.keys" } as const;

/** How far the log's clock may be ahead of ours. */
const aheadMs = 10 * 60 * 1000;

export interface Witnessed {
  readonly outcome: "cosigned" | WitnessFault;
  /** WitnessAnswer as it travels. */
  readonly answer: unknown;
}

export interface Witness {
  /**
   * Answers one request. Requests are worked on one after another.
   *
   * @param request untrusted JSON
   * @throws Error of the file system: then nothing was cosigned
   */
  cosign(request: unknown): Promise<Witnessed>;
  close(): Promise<void>;
}

/** @throws Misconfigured, or an error of the file system */
export async function openWitness(options: WitnessOptions): Promise<Witness> {
  const { folder, name } = options;
  const keys = await openWitnessKeys(join(folder, files.keys), name);
  const file = await openHeadFile(join(folder, files.head));
  return new OneLogWitness(options, keys, file);
}

class OneLogWitness implements Witness {
  readonly #options: WitnessOptions;
  readonly #keys: readonly WitnessKey[];
  readonly #file: HeadFile;
  readonly #lost: boolean;
  #last: Head | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: WitnessOptions, keys: readonly WitnessKey[], file: HeadFile) {
    this.#options = options;
    this.#keys = keys;
    this.#file = file;
    const last = file.text === undefined ? undefined : parseSignedHead(file.text);
    this.#lost = file.lost || last?.ok === false;
    this.#last = last?.ok === true ? last.value.head : undefined;
  }

  cosign(request: unknown): Promise<Witnessed> {
    // One at a time: checking against the last head and replacing it must not be parted.
    const turn = this.#turn.catch(() => {}).then(() => this.#answer(request));
    this.#turn = turn;
    return turn;
  }

  async close(): Promise<void> {
    await this.#turn.catch(() => {});
    await this.#file.close();
  }

  async #answer(value: unknown): Promise<Witnessed> {
    const checked = this.#check(parseWitnessRequest(value));
    const keys = this.#keys.map(({ key }) => key);
    if (typeof checked === "string") {
      const last = this.#file.text;
      const answer = { keys, refused: checked, ...(last !== undefined && { last }) };
      return { outcome: checked, answer: formatWitnessAnswer(answer) };
    }
    const answer = { keys, cosignatures: await this.#take(checked) };
    return { outcome: "cosigned", answer: formatWitnessAnswer(answer satisfies WitnessAnswer) };
  }

  #check(request: WitnessRequest | undefined): SignedHead | WitnessFault {
    if (request === undefined) return "bad-request";
    if (this.#lost) return "memory-lost";
    const logKeys = this.#options.logKeys();
    if (logKeys.length === 0) return "not-ready";
    const read = parseSignedHead(request.note);
    if (!read.ok) return "bad-request";
    const signed = read.value;
    if (!isSignedBy(signed, logKeys)) return "bad-signature";
    const ahead = signed.head.timeMs > this.#options.clock.nowMs() + aheadMs;
    return continues(this.#last, signed.head, request) ?? (ahead ? "time-ahead" : signed);
  }

  /** Durable before it is answered. */
  async #take(signed: SignedHead): Promise<string> {
    const { text } = signed;
    const timeS = Math.floor(this.#options.clock.nowMs() / 1000);
    const own = this.#keys.map(({ key, secret }) => cosignHead(text, timeS, key, secret));
    // Lines of strangers are not kept: they would be room for whoever asks to fill.
    const log = signedBy(signed, this.#options.logKeys());
    const signatures = [...log.signatures, ...own];
    await this.#file.write(formatNote({ text, signatures }));
    this.#last = signed.head;
    return own.map(formatSignature).join("");
  }
}

/** What keeps the head from being the next one after the last. */
function continues(
  last: Head | undefined,
  head: Head,
  { oldSize, proof }: WitnessRequest,
): WitnessFault | undefined {
  if (last === undefined) return oldSize === 0 && proof.length === 0 ? undefined : "old-size";
  if (head.origin !== last.origin || head.storeId !== last.storeId) return "other-log";
  if (head.size < last.size) return "rolled-back";
  if (oldSize !== last.size) return "old-size";
  if (!verifyConsistency(last, head, proof)) return "fork";
  return head.timeMs < last.timeMs ? "time-went-back" : undefined;
}
