/** The ARC sets of a header, or what is wrong with their structure (RFC 8617 §4.1, §4.2, §5.2). */

import { type Field, type Header, valueOf } from "#formats/message";
import type { TagList } from "#formats/tag-list";
import {
  type BodyDigests,
  type MessageSignature,
  maxInstances,
  readSignature,
  readTags,
  type Signature,
} from "#identity/dkim";

export interface ArcSet {
  readonly instance: number;
  /** ARC-Authentication-Results. */
  readonly results: Field;
  /** ARC-Message-Signature. */
  readonly message: MessageSignature;
  /** ARC-Seal. */
  readonly seal: Signature;
}

export interface Chain {
  /** From instance 1 on; empty when there is no chain, or a fault in it. */
  readonly sets: readonly ArcSet[];
  /** "" when there is none. */
  readonly fault: string;
  /** Highest instance that any field has; 0: there is no field of ARC. */
  readonly highest: number;
  /** The newest seal says cv=fail: the chain has ended. */
  readonly hasFailed: boolean;
}

type Kind = "results" | "message" | "seal";

const kinds: ReadonlyMap<string, Kind> = new Map([
  ["arc-authentication-results", "results"],
  ["arc-message-signature", "message"],
  ["arc-seal", "seal"],
]);

/** One field of ARC. */
interface Found {
  readonly kind: Kind;
  readonly field: Field;
  /** i=; 0 when it is none. */
  readonly instance: number;
  /** Of the two signatures; texts say why there are none. */
  readonly tags: TagList | string;
  /** Of ARC-Message-Signature. */
  readonly signature: MessageSignature | string;
}

export function readChain(header: Header, digests: BodyDigests): Chain {
  const found = header.fields.flatMap((field): Found[] => {
    const kind = kinds.get(field.key);
    return kind === undefined ? [] : [readField(header, field, kind, digests)];
  });
  const highest = found.reduce((most, { instance }) => Math.max(most, instance), 0);
  const newest = found.find(({ kind, instance }) => kind === "seal" && instance === highest);
  const hasFailed = typeof newest?.tags === "object" && newest.tags.get("cv") === "fail";
  const read = readSets(found, highest);
  return typeof read === "string"
    ? { sets: [], fault: read, highest, hasFailed }
    : { sets: read, fault: "", highest, hasFailed };
}

function readField(header: Header, field: Field, kind: Kind, digests: BodyDigests): Found {
  if (kind === "results") {
    const instance = instanceOf(resultsInstance.exec(valueOf(header, field).slice(0, 100))?.[1]);
    return { kind, field, instance, tags: "", signature: "" };
  }
  const read = digests.read.get(field);
  const tags = read?.tags ?? readTags(header, field);
  const instance = typeof tags === "string" ? 0 : instanceOf(tags.get("i"));
  return { kind, field, instance, tags, signature: read?.signature ?? "" };
}

/** §4.1.1: before the results themselves. Comments, which nobody writes there, are refused. */
const resultsInstance = /^i[ \t]*=[ \t]*(\d{1,2})[ \t]*;/;

/** §4.2.1 */
function instanceOf(text: string | undefined): number {
  const instance = text !== undefined && /^\d{1,2}$/.test(text) ? Number(text) : 0;
  return instance <= maxInstances ? instance : 0;
}

function readSets(found: readonly Found[], highest: number): readonly ArcSet[] | string {
  if (found.length > 3 * maxInstances) return "there are more than 50 sets";
  if (found.some(({ instance }) => instance === 0)) return "a field of ARC has no instance";
  const sets: ArcSet[] = [];
  for (let instance = 1; instance <= highest; instance += 1) {
    const set = readSet(
      instance,
      found.filter((one) => one.instance === instance),
    );
    if (typeof set === "string") return `i=${instance}: ${set}`;
    sets.push(set);
  }
  return sets;
}

/** @param found the fields of one instance */
function readSet(instance: number, found: readonly Found[]): ArcSet | string {
  const of = (kind: Kind): Found | undefined => found.find((one) => one.kind === kind);
  const [results, message, seal] = [of("results"), of("message"), of("seal")];
  if (!results || !message || !seal || found.length !== 3) return "the set is not whole";
  if (typeof seal.tags === "string") return `ARC-Seal: ${seal.tags}`;
  const { signature } = message;
  if (typeof signature === "string") return `ARC-Message-Signature: ${signature}`;
  // §4.1.2; later fields of ARC would else break the signature.
  if (signature.names.includes("arc-seal")) return "ARC-Message-Signature signs ARC-Seal";
  const sealed = readSignature(seal.field, seal.tags);
  if (typeof sealed === "string") return `ARC-Seal: ${sealed}`;
  if (seal.tags.has("h")) return "ARC-Seal has h="; // §4.1.3
  const status = seal.tags.get("cv") ?? "";
  // §5.2 step 3; what a "fail" at the top means, the check says before it looks here.
  if (status !== (instance === 1 ? "none" : "pass"))
    return `ARC-Seal has cv=${status.slice(0, 20)}`;
  return { instance, results: results.field, message: signature, seal: sealed };
}
