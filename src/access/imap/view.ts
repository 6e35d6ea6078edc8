/** A selected mailbox as one session was told of it: sequence numbers stand still until it is told more. */

import type { UidRanges } from "#contracts/store";
import type { SequenceSet } from "#formats/imap";
import type { Change, Entry, Mailbox } from "#model/mailbox";

/** Ascending, not overlapping, 1-based, inside the view. */
export type SeqRanges = readonly { readonly from: number; readonly to: number }[];

/** Uids of one call to the store: memory of a FETCH stays bounded. */
const sliceLength = 256;

export class View {
  readonly mailbox: Mailbox;
  readonly readOnly: boolean;
  /** Uids with \Recent in this session (RFC 3501 §2.3.2). */
  readonly recent: Set<number> = new Set();
  /** Result of SEARCH RETURN (SAVE). */
  saved: readonly number[] = [];
  /** The mailbox itself was renamed or deleted. */
  stale = false;
  #uids: Uint32Array = new Uint32Array(0);
  #count = 0;
  #added: number[] = [];
  readonly #expunged: Set<number> = new Set();
  readonly #updated: Map<number, Entry> = new Map();

  constructor(mailbox: Mailbox, readOnly: boolean) {
    this.mailbox = mailbox;
    this.readOnly = readOnly;
  }

  /** Takes the mailbox's entries once; what changed since the view was made is kept for later. */
  load(entries: readonly Entry[]): void {
    this.#uids = Uint32Array.from(entries, (entry) => entry.uid);
    this.#count = entries.length;
    const last = this.lastUid;
    this.#added = this.#added.filter((uid) => uid > last);
    for (const uid of this.#expunged) if (this.seqOf(uid) === 0) this.#expunged.delete(uid);
    this.#updated.clear();
  }

  get count(): number {
    return this.#count;
  }

  get lastUid(): number {
    return this.#uids[this.#count - 1] ?? 0;
  }

  get hasNews(): boolean {
    return (
      this.stale || this.#added.length > 0 || this.#expunged.size > 0 || this.#updated.size > 0
    );
  }

  /** 0 when the view does not have it. */
  seqOf(uid: number): number {
    const index = this.#firstAtLeast(uid);
    return index < this.#count && this.#uids[index] === uid ? index + 1 : 0;
  }

  uidAt(seq: number): number {
    return this.#uids[seq - 1] ?? 0;
  }

  /** The uids of these messages, in pieces that one call to the store may ask for. */
  *slices(ranges: SeqRanges): Generator<UidRanges> {
    let slice: { from: number; to: number }[] = [];
    let room = sliceLength;
    for (const { from, to } of ranges) {
      for (let seq = from; seq <= to; ) {
        const end = Math.min(to, seq + room - 1);
        slice.push({ from: this.uidAt(seq), to: this.uidAt(end) });
        room -= end - seq + 1;
        seq = end + 1;
        if (room > 0) continue;
        yield slice;
        slice = [];
        room = sliceLength;
      }
    }
    if (slice.length > 0) yield slice;
  }

  uidRanges(ranges: SeqRanges): UidRanges {
    return ranges.map(({ from, to }) => ({ from: this.uidAt(from), to: this.uidAt(to) }));
  }

  /**
   * The messages a set names. Unknown UIDs are left out (RFC 9051 §6.4.9).
   *
   * @returns undefined for a sequence number that is not there
   */
  resolve(set: SequenceSet, uid: boolean): SeqRanges | undefined {
    const found: { from: number; to: number }[] = [];
    if (set === "$") {
      for (const saved of this.saved) {
        const seq = this.seqOf(saved);
        if (seq > 0) found.push({ from: seq, to: seq });
      }
      return merge(found);
    }
    const star = uid ? this.lastUid : this.#count;
    for (const range of set) {
      const one = Number.isFinite(range.from) ? range.from : star;
      const other = Number.isFinite(range.to) ? range.to : star;
      let from = Math.min(one, other);
      let to = Math.max(one, other);
      if (uid) {
        from = this.#firstAtLeast(from) + 1;
        to = this.#lastAtMost(to);
      } else if (from === 0 || to > this.#count) return undefined;
      if (from <= to) found.push({ from, to });
    }
    return merge(found);
  }

  /** Notes a change for the next moment at which the client may be told. */
  apply(change: Change): void {
    if (change.mailboxChanged) this.stale = true;
    for (const { uid } of change.added) this.noteAdded(uid);
    for (const { uid } of change.expunged) this.noteExpunged(uid);
    for (const entry of change.updated) this.#updated.set(entry.uid, entry);
  }

  noteAdded(uid: number): void {
    if (uid > (this.#added.at(-1) ?? this.lastUid)) this.#added.push(uid);
  }

  noteExpunged(uid: number): void {
    this.#updated.delete(uid);
    this.recent.delete(uid);
    const waiting = this.#added.indexOf(uid);
    if (waiting >= 0) this.#added.splice(waiting, 1);
    else if (this.seqOf(uid) > 0) this.#expunged.add(uid);
  }

  /** The client knows this state of the entry, or asked not to be told. */
  noteTold(entry: Entry): void {
    const waiting = this.#updated.get(entry.uid);
    if (waiting !== undefined && waiting.modSeq <= entry.modSeq) this.#updated.delete(entry.uid);
  }

  /** Removes what was expunged. @returns uids, ascending, with their numbers as EXPUNGE gives them */
  takeExpunged(): readonly { readonly uid: number; readonly seq: number }[] {
    if (this.#expunged.size === 0) return [];
    const gone: { uid: number; seq: number }[] = [];
    let kept = 0;
    for (let index = 0; index < this.#count; index += 1) {
      const uid = this.#uids[index] ?? 0;
      // Each response already counts for the numbers in the next (RFC 9051 §7.5.1).
      if (this.#expunged.has(uid)) gone.push({ uid, seq: index + 1 - gone.length });
      else {
        this.#uids[kept] = uid;
        kept += 1;
      }
    }
    this.#count = kept;
    this.#expunged.clear();
    return gone;
  }

  /** Appends what arrived. @returns the new uids */
  takeAdded(): readonly number[] {
    const added = this.#added;
    if (added.length === 0) return added;
    this.#added = [];
    if (this.#count + added.length > this.#uids.length) {
      const room = this.#count + added.length + (this.#count >> 3) + 16;
      const grown = new Uint32Array(room);
      grown.set(this.#uids.subarray(0, this.#count));
      this.#uids = grown;
    }
    this.#uids.set(added, this.#count);
    this.#count += added.length;
    return added;
  }

  /** Entries whose flags the client does not know yet. */
  takeUpdated(): readonly Entry[] {
    const known = [...this.#updated.values()].filter(
      ({ uid }) => this.seqOf(uid) > 0 && !this.#expunged.has(uid),
    );
    this.#updated.clear();
    return known;
  }

  #firstAtLeast(uid: number): number {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#uids[middle] ?? 0) < uid) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Number of the last message whose UID is not above; 0 when there is none. */
  #lastAtMost(uid: number): number {
    return this.#firstAtLeast(uid + 1);
  }
}

function merge(ranges: { from: number; to: number }[]): SeqRanges {
  ranges.sort((one, other) => one.from - other.from);
  const merged: { from: number; to: number }[] = [];
  for (const range of ranges) {
    const last = merged.at(-1);
    if (last !== undefined && range.from <= last.to + 1) last.to = Math.max(last.to, range.to);
    else merged.push({ ...range });
  }
  return merged;
}

/** The numbers of the ranges, one by one. */
export function* numbersOf(ranges: SeqRanges): Generator<number> {
  for (const { from, to } of ranges) for (let seq = from; seq <= to; seq += 1) yield seq;
}
