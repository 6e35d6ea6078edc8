/** A stopped store's files read as a running one would: views made anew, and messages at random. */

import { createHash } from "node:crypto";
import type { Disk } from "#base/disk";
import { Misconfigured } from "#base/errors";
import { pick, type Random, systemRandom } from "#base/random";
import type { Master } from "#contracts/keyring";
import type { MessageId } from "#model/mailbox";
import { Damaged } from "./damage.ts";
import { RecordReader } from "./reader.ts";
import { makeAnew, openKeys } from "./recover.ts";
import { Segments } from "./segments.ts";
import { digestOf } from "./statement.ts";
import { StoreKeys } from "./store-keys.ts";
import type { Row, Views } from "./views.ts";

/** Large messages are read in pieces of this size. */
const pieceBytes = 1024 * 1024;
/** Draws for one message, where many were erased. */
const maxDraws = 20;

export interface ExamineParts {
  readonly disk: Disk;
  readonly directory: string;
  readonly master: Master;
  /** Where the views are made; what stood there before is removed. */
  readonly indexPath: string;
  readonly random: Random;
  /** At most so many messages are read. */
  readonly messages: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Examined {
  /** The tree that the records make. */
  readonly tree: { readonly size: number; readonly root: Buffer };
  /** Read whole, and compared with what the history says of them. */
  readonly messages: number;
  /** Of those, what is not as it was. */
  readonly wrong: readonly MessageId[];
  readonly rebuildMs: number;
  readonly readMs: number;
}

/** Writes nothing but the views. @throws Damaged, Misconfigured, the signal's reason */
export async function examineStore(parts: ExamineParts): Promise<Examined> {
  const { disk, directory, master, indexPath, signal } = parts;
  const segments = new Segments(disk, directory);
  try {
    const file = await openKeys(segments, { disk, directory, random: systemRandom }, master);
    if (file === undefined) throw new Misconfigured(`${directory} holds no store`);
    const startedMs = performance.now();
    const keys = new StoreKeys(file);
    const { views, history } = await makeAnew(segments, indexPath, keys);
    try {
      signal?.throwIfAborted();
      const rebuiltMs = performance.now();
      const { messages, wrong } = await readSome(views, new RecordReader(views, segments), parts);
      return {
        tree: history.head(),
        messages,
        wrong,
        rebuildMs: rebuiltMs - startedMs,
        readMs: performance.now() - rebuiltMs,
      };
    } finally {
      views.close();
    }
  } finally {
    await segments.close();
  }
}

async function readSome(
  views: Views,
  reader: RecordReader,
  { random, messages, signal }: ExamineParts,
): Promise<Pick<Examined, "messages" | "wrong">> {
  const wrong: MessageId[] = [];
  let read = 0;
  for (const row of chosen(views, random, messages)) {
    signal?.throwIfAborted();
    const isRight = await isAsItWas(views, reader, row);
    if (isRight === undefined) continue;
    read += 1;
    if (!isRight) wrong.push(row["id"] as string);
  }
  return { messages: read, wrong };
}

/** Different messages whose contents are not erased, at random; all when there are no more. */
function* chosen(views: Views, random: Random, wanted: number): Generator<Row> {
  const count = views.get(`SELECT count(*) AS rows FROM ${readable}`)?.["rows"] as number;
  if (count <= wanted) {
    yield* views.all(`SELECT m.* FROM ${readable} ORDER BY m.seq`);
    return;
  }
  const range = views.get("SELECT min(seq) AS low, max(seq) AS high FROM message") as Row;
  const [low, high] = [range["low"] as number, range["high"] as number];
  const seen = new Set<number>();
  for (let draws = wanted * maxDraws; seen.size < wanted && draws > 0; draws -= 1) {
    const from = low + pick(random, high - low + 1);
    const sql = `SELECT m.* FROM ${readable} WHERE m.seq >= ? ORDER BY m.seq LIMIT 1`;
    const row = views.get(sql, from);
    if (row === undefined || seen.has(row["seq"] as number)) continue;
    seen.add(row["seq"] as number);
    yield row;
  }
}

const readable = "message m JOIN content c ON c.id = m.content";

/** @returns undefined when nobody can read it any more: its key was destroyed */
async function isAsItWas(
  views: Views,
  reader: RecordReader,
  row: Row,
): Promise<boolean | undefined> {
  const secret = views.holders.secretOf(Buffer.from(row["content"] as Uint8Array));
  if (secret === undefined) return undefined;
  try {
    const record = await reader.record(row);
    if (record.kind === "refused") return false;
    const headBytes = row["head_bytes"] as number;
    const size = row["size"] as number;
    const head = headBytes === 0 ? Buffer.alloc(0) : await reader.octets(row, 0, headBytes);
    const content = createHash("sha256");
    for (let at = headBytes; at < size; at += pieceBytes) {
      content.update(await reader.octets(row, at, Math.min(at + pieceBytes, size)));
    }
    const sum = content.digest();
    return sum.equals(secret.sum) && record.digest === digestOf(secret.key, head, sum);
  } catch (error) {
    if (error instanceof Damaged) return false;
    throw error;
  }
}
