/** What a manifest and its facts may look like; everything else is refused. */

import { accept, type Result, refuse } from "#base/result";
import type { Facts, KeysObject, Manifest, ManifestFault, SegmentObject } from "./manifest.ts";
import { isObjectName } from "./target.ts";

type Fields = Readonly<Record<string, unknown>>;

/** The same as the length allows. */
const maxObjects = 100_000;
const maxSealed = 512 * 1024;
const maxHead = 64 * 1024;
const base64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** @param value untrusted JSON */
export function readManifestShape(value: unknown): Result<Manifest, ManifestFault> {
  const { format } = fieldsOf(value);
  if (isCount(format) && format > 1) return refuse("future");
  const required = [
    "format",
    "storeId",
    "createdAtMs",
    "recoveryKey",
    "keys",
    "segments",
    "sealed",
  ];
  const fields = exactly(value, required, ["previous"]);
  const isRight =
    fields.format === 1 &&
    isText(fields.storeId, /^[0-9a-f]{16}$/) &&
    isCount(fields.createdAtMs) &&
    isText(fields.recoveryKey, /^[0-9a-f]{32}$/) &&
    (fields.previous === undefined || isName(fields.previous, "manifests/")) &&
    isText(fields.sealed, base64, maxSealed) &&
    isKeysObject(fields.keys) &&
    Array.isArray(fields.segments) &&
    fields.segments.length <= maxObjects;
  if (!isRight) return refuse("bad-shape");
  const wrong = firstWrong(fields.segments as unknown[], (fields.keys as KeysObject).name);
  return wrong === undefined ? accept(value as Manifest) : refuse("bad-shape", wrong);
}

/** @param value untrusted JSON */
export function readFacts(value: unknown): Facts | undefined {
  const fields = exactly(value, ["position", "root", "counts"], ["head"]);
  const counts = ["newObjects", "newBytes", "repairedPages"];
  const isRight =
    hasCounts(fields.position, ["lsn", "generation", "segment", "page"]) &&
    isText(fields.root, /^[0-9a-f]{64}$/) &&
    hasCounts(fields.counts, counts) &&
    (fields.head === undefined || isText(fields.head, /^/, maxHead));
  return isRight ? (value as Facts) : undefined;
}

/** Index of the first object that is none, is named twice, or does not follow the one before. */
function firstWrong(objects: readonly unknown[], keysName: string): number | undefined {
  const names = new Set<string>([keysName]);
  let before: SegmentObject | undefined;
  for (const [index, object] of objects.entries()) {
    if (!isSegmentObject(object) || names.has(object.name) || !follows(object, before)) {
      return index;
    }
    names.add(object.name);
    before = object;
  }
  return undefined;
}

function follows(object: SegmentObject, before: SegmentObject | undefined): boolean {
  if (before !== undefined && object.segment === before.segment) {
    const isNext = object.firstPage === before.firstPage + before.pages;
    return isNext && object.revision === before.revision;
  }
  return object.firstPage === 0 && object.segment > (before?.segment ?? 0);
}

function isKeysObject(value: unknown): value is KeysObject {
  const fields = exactly(value, ["kind", "name", "sizeBytes", "sha256"]);
  return fields.kind === "keys" && isStored(fields);
}

function isSegmentObject(value: unknown): value is SegmentObject {
  const numbers = ["segment", "revision", "firstPage", "pages"];
  const fields = exactly(value, ["kind", "name", "sizeBytes", "sha256", ...numbers]);
  return (
    fields.kind === "segment" &&
    isStored(fields) &&
    numbers.every((name) => isCount(fields[name], 0xffff_ffff)) &&
    fields.pages !== 0
  );
}

function isStored({ name, sizeBytes, sha256 }: Fields): boolean {
  return isName(name, "objects/") && isCount(sizeBytes) && isText(sha256, /^[0-9a-f]{64}$/);
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : {};
}

/** The fields, or none at all when one is missing or not known. */
function exactly(value: unknown, required: readonly string[], optional: string[] = []): Fields {
  const fields = fieldsOf(value);
  const isWhole = required.every((name) => Object.hasOwn(fields, name));
  const isKnown = (name: string): boolean => required.includes(name) || optional.includes(name);
  return isWhole && Object.keys(fields).every(isKnown) ? fields : {};
}

function hasCounts(value: unknown, names: readonly string[]): boolean {
  const fields = exactly(value, names);
  return names.every((name) => isCount(fields[name]));
}

function isCount(value: unknown, max: number = Number.MAX_SAFE_INTEGER): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;
}

function isText(value: unknown, pattern: RegExp, maxLength = 200): value is string {
  return typeof value === "string" && value.length <= maxLength && pattern.test(value);
}

function isName(value: unknown, start: string): boolean {
  return isText(value, /^/, 401) && value.startsWith(start) && isObjectName(value);
}
