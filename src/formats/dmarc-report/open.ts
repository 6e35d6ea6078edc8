/** The XML inside an attachment: as it is, in gzip (RFC 1952) or in a zip of one file. */

import { Buffer } from "node:buffer";
import { gunzipSync, inflateRawSync } from "node:zlib";
import { buffer } from "#base/bytes";
import { accept, type Result, refuse } from "#base/result";

export type OpenFault = "not-a-report" | "too-large" | "bad-archive";

/** Ours: what a report may measure unpacked; the reader takes no more either. */
const maxUnpacked = 16 * 1024 * 1024;
/** Ours: packed, in octets. */
const maxPacked = 16 * 1024 * 1024;

/** @param octets untrusted: the decoded attachment; what it is shows in its first octets */
export function openReport(octets: Uint8Array): Result<Uint8Array, OpenFault> {
  if (octets.length > maxPacked) return refuse("too-large", maxPacked);
  const bytes = buffer(octets);
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    return unpack(() => gunzipSync(bytes, { maxOutputLength: maxUnpacked }));
  }
  if (bytes.subarray(0, 4).equals(localMark)) return unzip(bytes);
  return /^(?:\xef\xbb\xbf)?\s*</.test(bytes.toString("latin1", 0, 64))
    ? accept(octets)
    : refuse("not-a-report");
}

function unpack(open: () => Buffer): Result<Uint8Array, OpenFault> {
  try {
    return accept(open());
  } catch (error) {
    const isLarge = (error as { code?: string }).code === "ERR_BUFFER_TOO_LARGE";
    return refuse(isLarge ? "too-large" : "bad-archive");
  }
}

const localMark = Buffer.from("PK\x03\x04", "latin1");
const centralMark = Buffer.from("PK\x01\x02", "latin1");
const endMark = Buffer.from("PK\x05\x06", "latin1");

/** APPNOTE.TXT 4.3: by the central directory, so that both sizes are known. */
function unzip(bytes: Buffer): Result<Uint8Array, OpenFault> {
  const end = bytes.lastIndexOf(endMark);
  if (end < 0 || end + 22 > bytes.length) return refuse("bad-archive");
  if (bytes.readUInt16LE(end + 10) !== 1) return refuse("bad-archive", end); // one file, not more
  const entry = bytes.readUInt32LE(end + 16);
  if (entry + 46 > end || !bytes.subarray(entry, entry + 4).equals(centralMark)) {
    return refuse("bad-archive", end);
  }
  const isEncrypted = (bytes.readUInt16LE(entry + 8) & 1) === 1;
  const method = bytes.readUInt16LE(entry + 10);
  const size = bytes.readUInt32LE(entry + 20);
  const local = bytes.readUInt32LE(entry + 42);
  if (isEncrypted || local + 30 > entry) return refuse("bad-archive", entry);
  if (!bytes.subarray(local, local + 4).equals(localMark)) return refuse("bad-archive", entry);
  const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
  if (start + size > entry) return refuse("bad-archive", entry);
  const packed = bytes.subarray(start, start + size);
  if (method === 0) return accept(packed);
  if (method !== 8) return refuse("bad-archive", entry);
  return unpack(() => inflateRawSync(packed, { maxOutputLength: maxUnpacked }));
}
