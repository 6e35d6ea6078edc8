/** The few XML documents of S3 that are read: flat elements, found by name. */

import { accept, type Result, refuse } from "#base/result";

export type AnswerFault =
  /** Another document than the one asked for, such as a page of some proxy on the way. */
  | "other-document"
  /** An element is missing or makes no sense. */
  | "bad-element";

export interface Listing {
  readonly objects: readonly { readonly key: string; readonly sizeBytes: number }[];
  /** There is more: the token asks for it. */
  readonly next?: string;
}

export interface Upload {
  readonly key: string;
  readonly uploadId: string;
  readonly initiatedAtMs: number;
}

/** @param xml untrusted: the answer to ListObjectsV2 */
export function parseListing(xml: string): Result<Listing, AnswerFault> {
  if (!isDocument(xml, "ListBucketResult")) return refuse("other-document");
  const objects: { key: string; sizeBytes: number }[] = [];
  for (const { inner, at } of elements(xml, "Contents")) {
    const key = textOf(inner, "Key");
    const size = textOf(inner, "Size") ?? "";
    if (key === undefined || !/^\d{1,15}$/.test(size)) return refuse("bad-element", at);
    objects.push({ key, sizeBytes: Number(size) });
  }
  if (textOf(xml, "IsTruncated") !== "true") return accept({ objects });
  const next = textOf(xml, "NextContinuationToken");
  return next === undefined ? refuse("bad-element", xml.length) : accept({ objects, next });
}

/** @param xml untrusted: the answer to ListMultipartUploads */
export function parseUploads(xml: string): Result<readonly Upload[], AnswerFault> {
  if (!isDocument(xml, "ListMultipartUploadsResult")) return refuse("other-document");
  const uploads: Upload[] = [];
  for (const { inner, at } of elements(xml, "Upload")) {
    const key = textOf(inner, "Key");
    const uploadId = textOf(inner, "UploadId");
    const initiatedAtMs = Date.parse(textOf(inner, "Initiated") ?? "");
    if (key === undefined || uploadId === undefined || Number.isNaN(initiatedAtMs)) {
      return refuse("bad-element", at);
    }
    uploads.push({ key, uploadId, initiatedAtMs });
  }
  return accept(uploads);
}

/** @param xml untrusted: the answer to CreateMultipartUpload */
export function parseUploadId(xml: string): Result<string, AnswerFault> {
  if (!isDocument(xml, "InitiateMultipartUploadResult")) return refuse("other-document");
  const id = textOf(xml, "UploadId");
  return id === undefined || id === "" ? refuse("bad-element") : accept(id);
}

/** True when CompleteMultipartUpload has done it; its status is 200 even when it has not. */
export function isCompleted(xml: string): boolean {
  return isDocument(xml, "CompleteMultipartUploadResult");
}

/** The code of an Error document, or "" when it is none. */
export function errorCodeIn(xml: string): string {
  const code = isDocument(xml, "Error") ? (textOf(xml, "Code") ?? "") : "";
  return /^[A-Za-z0-9._-]{1,80}$/.test(code) ? code : "";
}

export function completeXml(etags: readonly string[]): string {
  const parts = etags.map(
    (etag, index) =>
      `<Part><PartNumber>${index + 1}</PartNumber><ETag>${escapeText(etag)}</ETag></Part>`,
  );
  const space = "http://s3.amazonaws.com/doc/2006-03-01/";
  return `<CompleteMultipartUpload xmlns="${space}">${parts.join("")}</CompleteMultipartUpload>`;
}

/** Whether the outermost element has this name. A slow service sends white space before it. */
function isDocument(xml: string, name: string): boolean {
  const start = /^(?:<\?xml[^>]{0,200}\?>\s*)?<([A-Za-z]{1,60})[\s>/]/;
  return start.exec(xml.trimStart())?.[1] === name;
}

/** Elements of a name, not within each other. */
function* elements(
  xml: string,
  name: string,
): Generator<{ readonly inner: string; readonly at: number }> {
  for (let from = 0; ; ) {
    const at = xml.indexOf(`<${name}>`, from);
    const end = at < 0 ? -1 : xml.indexOf(`</${name}>`, at);
    if (end < 0) return;
    yield { inner: xml.slice(at + name.length + 2, end), at };
    from = end;
  }
}

function textOf(xml: string, name: string): string | undefined {
  for (const { inner } of elements(xml, name)) return unescapeText(inner);
  return undefined;
}

const named: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
};

function unescapeText(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9A-Fa-f]{1,6})|([a-z]{2,4}));/g, (whole, ...found) => {
    const [decimal, hexadecimal, name] = found as (string | undefined)[];
    if (name !== undefined) return named[name] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hexadecimal ?? "", 16) : Number(decimal);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

function escapeText(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}
