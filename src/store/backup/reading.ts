/** Reading a backup: nothing of it is believed before it has passed every check. */

import { Buffer } from "node:buffer";
import { isSignedBy, type NoteKey, parseSignedHead } from "#formats/checkpoint";
import type { KeptKeys, LedgerFault } from "#store";
import { openArchive } from "./archive.ts";
import { readManifest } from "./catalogue.ts";
import { type BackupFault, type BackupOutcome, unusable } from "./faults.ts";
import { maxKeysBytes, parseKeptKeys } from "./kept-keys.ts";
import type { Facts, KeysObject, Manifest, SegmentObject } from "./manifest.ts";
import { openFacts } from "./manifest-octets.ts";
import { measured } from "./octets.ts";
import type { RecoveryPrivateKey } from "./recovery-key.ts";
import type { Target } from "./target.ts";

const pageBytes = 8192;

export interface OpenBackup {
  readonly manifest: Manifest;
  readonly facts: Facts;
  readonly keys: KeptKeys;
  /** Whether the log has signed the head: "not-asked" when its keys are not known here. */
  readonly head: "none" | "signed" | "not-asked";
}

/** Manifest, facts, keys and head; the pages follow. @param logKeys when given, they must have signed */
export async function openBackup(
  target: Target,
  name: string,
  own: RecoveryPrivateKey,
  logKeys?: readonly NoteKey[],
): Promise<BackupOutcome<OpenBackup>> {
  const manifest = await readManifest(target, name);
  if (!manifest.ok) return unusable({ object: name, what: manifest.fault });
  if (manifest.value.recoveryKey !== own.id) return unusable({ object: name, what: "other-key" });
  const facts = openFacts(own.keys, manifest.value);
  if (!facts.ok) return unusable({ object: name, what: facts.fault });
  const head = headOf(facts.value, manifest.value.storeId, logKeys);
  if (head === undefined) return unusable({ object: name, what: "bad-head" });
  const keys = await readKeys(target, manifest.value, own);
  if (!keys.ok) return keys;
  const value = { manifest: manifest.value, facts: facts.value, keys: keys.value, head };
  return { ok: true, value };
}

function headOf(
  { head, position, root }: Facts,
  storeId: string,
  logKeys: readonly NoteKey[] | undefined,
): OpenBackup["head"] | undefined {
  if (head === undefined) return logKeys === undefined ? "none" : undefined;
  const read = parseSignedHead(head);
  if (!read.ok) return undefined;
  const signed = read.value.head;
  const isOurs = signed.size === position.lsn && signed.storeId === storeId;
  if (!isOurs || signed.root.toString("hex") !== root) return undefined;
  if (logKeys === undefined) return "not-asked";
  return isSignedBy(read.value, logKeys) ? "signed" : undefined;
}

async function readKeys(
  target: Target,
  { keys: object, storeId }: Manifest,
  own: RecoveryPrivateKey,
): Promise<BackupOutcome<KeptKeys>> {
  const bad = unusable({ object: object.name, what: "bad-keys" });
  if (object.sizeBytes > maxKeysBytes) return bad;
  const parts: Buffer[] = [];
  const fault = await readObject(target, object, own, (plain) => void parts.push(plain));
  if (fault !== undefined) return unusable(fault);
  const plain = Buffer.concat(parts);
  const keys = parseKeptKeys(plain);
  for (const octets of [plain, ...parts]) octets.fill(0);
  if (keys?.storeId.toString("hex") !== storeId) return bad;
  return { ok: true, value: keys };
}

/**
 * Reads an object to its end.
 *
 * @param own without it only length and hash are compared, and `take` gets nothing
 */
export async function readObject(
  target: Target,
  { name, sizeBytes, sha256 }: KeysObject | SegmentObject,
  own: RecoveryPrivateKey | undefined,
  take: (plain: Buffer) => Promise<void> | void,
): Promise<BackupFault | undefined> {
  const stored = await target.get(name);
  if (stored === undefined) return { object: name, what: "missing" };
  const { octets, measure } = measured(stored);
  if (own === undefined) for await (const _ of octets) continue;
  else {
    const opened = await openArchive(own.keys, name, octets, take);
    if (!opened.ok) return { object: name, what: opened.fault };
  }
  const found = measure();
  if (found.sizeBytes !== sizeBytes) return { object: name, what: "other-size" };
  if (found.sha256 !== sha256) return { object: name, what: "other-hash" };
  return undefined;
}

/** Whoever takes the pages in their order. */
export interface PageSink {
  begin(segment: number, revision: number): LedgerFault | undefined;
  take(octets: Buffer): Promise<{ what: LedgerFault; page: number } | undefined>;
  /** Nothing more comes: is it whole? */
  end(): LedgerFault | undefined;
  readonly tree: { readonly size: number; readonly root: Buffer };
}

interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
  /** @param bytes of pages that were read since it was called last */
  readonly onRead?: ((bytes: number) => void) | undefined;
}

/** @returns the first fault: what follows it cannot be judged */
export async function readPages(
  { target, own }: { readonly target: Target; readonly own: RecoveryPrivateKey },
  { manifest, facts }: Pick<OpenBackup, "manifest" | "facts">,
  sink: PageSink,
  { signal, onRead }: ReadOptions = {},
): Promise<BackupFault | undefined> {
  let last = "";
  let segment = 0;
  for (const object of manifest.segments) {
    last = object.name;
    if (object.segment !== segment) {
      segment = object.segment;
      const what = sink.begin(segment, object.revision);
      if (what !== undefined) return { object: last, what, segment, page: 0 };
    }
    let bytes = 0;
    let wrong: { what: LedgerFault; page: number } | undefined;
    const fault = await readObject(target, object, own, async (plain) => {
      signal?.throwIfAborted();
      bytes += plain.length;
      onRead?.(plain.length);
      wrong ??= await sink.take(plain);
    });
    if (fault !== undefined) return fault;
    if (wrong !== undefined) return { object: last, segment, ...wrong };
    if (bytes !== object.pages * pageBytes) return { object: last, what: "length" };
  }
  const what = sink.end();
  if (what !== undefined) return { object: last, what };
  const { size, root } = sink.tree;
  const isThat = size === facts.position.lsn && root.toString("hex") === facts.root;
  return isThat ? undefined : { object: last, what: "other-history" };
}

/** Octets of all pages. */
export function pageBytesOf({ manifest }: Pick<OpenBackup, "manifest">): number {
  return manifest.segments.reduce((sum, { pages }) => sum + pages * pageBytes, 0);
}
