import assert from "node:assert/strict";
import type { Buffer } from "node:buffer";
import { execFile, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { realDisk } from "#base/disk";
import { seededRandom } from "#base/random";
import type { MessageId } from "#model/mailbox";
import { type VerifyReport, verifyStore } from "#store";
import { live, messagesIn, openIn, putAccounts, type Written } from "./a-life.ts";
import { fixedMaster } from "../../../src/store/fixture.ts";

const python = "/usr/bin/python3"; // Debian's, where python3-cryptography installs
const program = join(import.meta.dirname, "read_store.py");
const hasCryptography = spawnSync(python, ["-c", "import cryptography"]).status === 0;
const skip = hasCryptography ? false : "python3-cryptography is not installed";

const pageBytes = 8192;

/** What the reader prints. */
interface Reading {
  readonly storeId: string;
  readonly segments: number;
  readonly pages: number;
  readonly parities: number;
  readonly records: number;
  readonly root: string;
  readonly contents: number;
  readonly erased: number;
  readonly hollow: number;
  /** Records by their kind. */
  readonly kinds: Readonly<Record<string, number>>;
  readonly messages: readonly { readonly id: string; readonly sha256: string }[];
  readonly damages: readonly {
    readonly file: string;
    readonly page?: number;
    readonly mendedBy?: string;
  }[];
}

function readWithPython(directory: string): Promise<Reading> {
  // What `fixedMaster` wraps with, and how it names the purpose.
  const key = "07".repeat(32);
  const args = [program, directory, "--wrapping-key", key, "--aad", "store {storeId}"];
  return new Promise((resolve, reject) => {
    execFile(python, args, { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (stdout === "") reject(new Error(stderr, { cause: error }));
      else resolve(JSON.parse(stdout) as Reading);
    });
  });
}

describe("a reader in another language", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "postern-format-"));
  const directory = join(folder, "store");
  after(() => rmSync(folder, { recursive: true }));

  const written = new Map<MessageId, Written>();
  let living: Map<MessageId, string>;
  let head: { readonly size: number; readonly root: Buffer };
  let storeId: string;
  let report: VerifyReport;
  let whole: Reading;

  before(async () => {
    const random = seededRandom(7);
    {
      await using store = await openIn(directory);
      await putAccounts(store);
      await live({ store, random, written }, 1, 120);
      await store.erase();
      await store.compact({ force: true });
    }
    const store = await openIn(directory);
    await live({ store, random, written }, 121, 80);
    await store.erase();
    living = await messagesIn(store);
    storeId = store.storeId;
    // Closing writes a record, which belongs to the tree.
    await store[Symbol.asyncDispose]();
    head = store.history.head();
    report = await verifyStore(realDisk, directory, fixedMaster);
    whole = await readWithPython(directory);
  });

  /** The store once more, with files that are spoilt. */
  function spoilt(changes: Readonly<Record<string, (octets: Buffer) => void>>): string {
    const to = mkdtempSync(join(folder, "spoilt-"));
    cpSync(directory, to, { recursive: true });
    for (const [name, change] of Object.entries(changes)) {
      const octets = readFileSync(join(to, name));
      change(octets);
      writeFileSync(join(to, name), octets);
    }
    return to;
  }

  test("finds every message octet by octet, and none whose content was erased", () => {
    const found = new Map(whole.messages.map(({ id, sha256 }) => [id, sha256]));
    for (const [id, sum] of living) assert.equal(found.get(id), sum, id);
    // A message that is gone can be read as long as another has the same content.
    const contents = new Set([...living.keys()].map((id) => written.get(id)?.content));
    for (const [id, { content, whole: sum }] of written) {
      assert.equal(found.get(id), contents.has(content) ? sum : undefined, id);
    }
    assert.equal(whole.erased, whole.contents - contents.size);
    assert.ok(whole.erased > 10, `${whole.erased} contents erased`);
    assert.ok(living.size > 150, `${living.size} messages`);
  });

  test("finds the same history, and counts the same", () => {
    assert.equal(whole.root, head.root.toString("hex"));
    assert.equal(whole.records, head.size);
    assert.equal(whole.storeId, storeId);
    const { segments, pages, contents } = report;
    assert.deepEqual([whole.segments, whole.pages, whole.contents], [segments, pages, contents]);
    assert.deepEqual(whole.damages, []);
  });

  test("was shown all that makes a store hard to read", () => {
    const kinds = ["appended", "content-keys", "content-part", "copied", "epoch-ended", "kept"];
    const missing = kinds.filter((kind) => (whole.kinds[kind] ?? 0) === 0);
    assert.deepEqual(missing, []);
    assert.ok(whole.hollow > 10, `${whole.hollow} records hollow`);
    assert.ok(whole.parities > 5, `${whole.parities} segments with parity`);
  });

  test("mends pages by the bit, from the tail copy and from parity", async () => {
    const tail = readdirSync(directory).findLast((name) => name.startsWith("tail-"));
    const inUse = (tail ?? "").replace("tail", "segment");
    const spoiltStore = spoilt({
      "segment-00000001": (octets) => flip(octets, 3 * pageBytes + 4000),
      "segment-00000002": (octets) => octets.fill(0, 5 * pageBytes, 6 * pageBytes),
      // Both of one group: of up to 32 pages every second belongs to the first.
      "segment-00000003": (octets) => octets.fill(9, 0, 99).fill(9, 2 * pageBytes, 3 * pageBytes),
      [inUse]: (octets) => octets.fill(7, 1000, 3000),
    });
    const { damages, ...rest } = await readWithPython(spoiltStore);
    assert.deepEqual({ ...rest, damages: [] }, whole);
    assert.deepEqual(
      damages.map(({ file, page, mendedBy }) => [file, page, mendedBy]),
      [
        ["segment-00000001", 3, "bit"],
        ["segment-00000002", 5, "parity"],
        ["segment-00000003", 0, "parity"],
        ["segment-00000003", 2, "parity"],
        [inUse, 0, "tail"],
      ],
    );
  });

  test("names what cannot be mended", async () => {
    const name = "segment-00000002";
    const { damages } = await readWithPython(
      spoilt({ [name]: (octets) => octets.fill(0, 4 * pageBytes, 12 * pageBytes) }),
    );
    assert.ok(damages.some(({ file, mendedBy }) => file === name && mendedBy === undefined));
  });

  test("takes the last batch for void when it is torn, and no other", async () => {
    const name = `segment-${String(whole.segments).padStart(8, "0")}`;
    const torn = spoilt({
      [name]: (octets) => octets.fill(1, lastPage(octets) * pageBytes + 512, octets.length),
    });
    for (const file of readdirSync(torn)) {
      if (file.startsWith("tail-")) rmSync(join(torn, file));
    }
    const { damages, records, messages } = await readWithPython(torn);
    assert.deepEqual(damages, []);
    assert.ok(records < whole.records && records > whole.records - 5, `${records} records`);
    assert.deepEqual(messages, whole.messages);
  });
});

function flip(octets: Buffer, at: number): void {
  octets[at] = (octets[at] ?? 0) ^ 16;
}

/** Number of the last page with anything in it. */
function lastPage(octets: Buffer): number {
  let last = octets.length / pageBytes - 1;
  while (last > 0 && octets.readUInt32LE(last * pageBytes) === 0) last -= 1;
  return last;
}
