import assert from "node:assert/strict";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { ReadByOther } from "#model/retention";
import type { NamedReport, ScrubReport, StoreHealth } from "#store";
import { hasBrowser, launchBrowser } from "../kit/browser.ts";
import { type Installation, startInstallation } from "../kit/installation.ts";
import { plainMessage, sendMail } from "../kit/smtp-dialogue.ts";

const base = mkdtempSync(join(tmpdir(), "postern-care-"));
const data = join(base, "data");
const folder = join(data, "hub/store");
const pageBytes = 8192;
let installation: Installation;
let owner = "";

before(async () => {
  mkdirSync(data);
  installation = await startInstallation({ data });
  owner = installation.ready().accounts[0]?.address ?? "";
  for (const number of [1, 2, 3]) await send(`kept-${number}@x`);
});

after(async () => {
  await installation[Symbol.asyncDispose]();
  rmSync(base, { recursive: true, force: true });
});

/** @returns the id under which it was kept */
async function send(marker: string, bytes = 0): Promise<string> {
  const text = plainMessage({ from: "a@localhost", to: owner, marker, subject: marker });
  const line = `${"0123456789".repeat(7)}\r\n`;
  const octets = text + line.repeat(Math.ceil(bytes / line.length));
  const mail = { from: "a@localhost", to: [owner], octets };
  const reply = await sendMail(installation.ready().smtp, mail);
  return /kept as ([0-9a-f]{32})/.exec(reply ?? "")?.[1] ?? assert.fail(reply ?? "broken");
}

function segmentFile(kind: "segment" | "tail"): string {
  const names = readdirSync(folder).filter((name) => name.startsWith(`${kind}-`));
  return join(folder, names.sort()[0] ?? assert.fail(`no ${kind} in ${readdirSync(folder)}`));
}

/** Pages in use. */
function pagesIn(path: string): number {
  const octets = readFileSync(path);
  let end = octets.length / pageBytes;
  while (
    end > 0 &&
    octets.subarray((end - 1) * pageBytes, end * pageBytes).every((one) => one === 0)
  )
    end -= 1;
  return end;
}

function changePage(path: string, page: number, change: (octets: Buffer) => void): Buffer {
  const file = openSync(path, "r+");
  const octets = Buffer.alloc(pageBytes);
  readSync(file, octets, 0, pageBytes, page * pageBytes);
  const before_ = Buffer.from(octets);
  change(octets);
  writeSync(file, octets, 0, pageBytes, page * pageBytes);
  closeSync(file);
  return before_;
}

function pageIn(path: string, page: number): Buffer {
  return readFileSync(path).subarray(page * pageBytes, (page + 1) * pageBytes);
}

async function run<Value>(code: number, ...args: string[]): Promise<Value> {
  const answer = await installation.cli(...args, "--json");
  assert.equal(answer.code, code, `${args.join(" ")}: ${answer.stderr} ${answer.stdout}`);
  return JSON.parse(answer.stdout) as Value;
}

describe("a store that is looked after", () => {
  test("CAP-101 CAP-103 a flipped bit is repaired on the disk of the running system, and counted", async () => {
    const path = segmentFile("segment");
    const right = changePage(
      path,
      2,
      (octets) => void octets.writeUInt8(octets.readUInt8(777) ^ 4, 777),
    );
    const report = await run<ScrubReport>(0, "store", "scrub", "--now", "--rate", "500");
    assert.deepEqual(
      report.repaired.map(({ page, how, isWritten }) => [page, how, isWritten]),
      [[2, "bit", true]],
    );
    assert.deepEqual(report.damaged, []);
    assert.deepEqual(pageIn(path, 2), right);
    await pause(1500); // what nobody waits for is written within a second
    const health = await run<StoreHealth>(0, "store", "health");
    assert.deepEqual([health.repaired, health.repairedThisWeek, health.repairedBy.bit], [1, 1, 1]);
    assert.equal(health.scrubbedThisWeek, health.segments);
    assert.ok(Date.now() - (health.oldestScrubMs ?? 0) < 60_000);
    assert.match(installation.log(), /store\.repaired/);
    const { url, token } = installation.ready().console;
    const headers = { authorization: `Bearer ${token}` };
    const metrics = await (await fetch(new URL("/metrics", url), { headers })).text();
    assert.match(metrics, /^store_repaired_pages_total\{how="bit"\} 1$/m);
    assert.match(metrics, /^store_damaged_places 0$/m);
    assert.match(metrics, /^store_flush_seconds_bucket/m);
    const shown = await installation.cli("store", "scrub");
    assert.match(shown.stdout, /repaired +1 pages, 1 this week\n[^]*nothing is beyond repair/);
  });

  test("CAP-92 says how mail is sealed on the wire and at rest, each by itself", async () => {
    const { stdout } = await installation.cli("status");
    assert.match(stdout, /^on the wire +TLS 1\.2 or 1\.3, certificate until 20/m);
    assert.match(stdout, /^at rest +AES-256-GCM under the master key \S+ \(file\)$/m);
  });

  test("a new master key: the old one is destroyed, and everything still reads after a restart", async () => {
    type Rekeyed = { master: string; retired: string[]; held: string[] };
    const first = await run<Rekeyed>(0, "store", "rekey");
    assert.equal(first.retired.length, 0);
    assert.equal(first.held.length, 1);
    const second = await run<Rekeyed>(0, "store", "rekey", "--retire");
    assert.deepEqual(new Set(second.retired), new Set([...first.held, first.master]));
    assert.deepEqual(second.held, []);
    await installation.stop();
    installation = await startInstallation({ data });
    const { damages, messages } = await run<NamedReport>(0, "store", "verify");
    assert.deepEqual(damages, []);
    assert.ok(messages >= 3, `${messages}`);
    assert.ok((await installation.cli("status")).stdout.includes(second.master));
  });

  test("what is beyond repair is named, and all the rest is saved", async () => {
    const [segment] = [segmentFile("segment")];
    const first = pagesIn(segment);
    const id = await send("lost@x", 100_000);
    await send("after@x");
    await pause(1500); // the second copy has caught up
    const page = first + 6;
    for (const path of [segment, ...(existsTail() ? [segmentFile("tail")] : [])]) {
      changePage(path, page, (octets) => void octets.fill(7, 1000, 3000));
    }
    const { damaged } = await run<ScrubReport>(2, "store", "scrub", "--now");
    assert.deepEqual(
      damaged.filter(({ file }) => file.startsWith("segment")).map((one) => one.page),
      [page],
    );
    assert.deepEqual(damaged[0]?.mail, [
      { message: id, entries: [{ address: owner, mailbox: "INBOX" }] },
    ]);
    const [text, verified, health] = await Promise.all([
      installation.cli("store", "repair"),
      run<NamedReport>(2, "store", "verify"),
      installation.cli("store", "health"),
    ]);
    assert.equal(text.code, 2);
    const named = `page ${page}: checksum\n +${id}, ${owner} in INBOX\n`;
    assert.match(text.stdout, new RegExp(`^BEYOND REPAIR segment\\S+ ${named}`, "m"));
    assert.match(text.stderr, /^segment 1: \d+ pages read, 0 repaired, [12] beyond repair$/m);
    assert.deepEqual(verified.mail, damaged[0]?.mail);
    assert.equal(health.code, 2);
    assert.match(health.stdout, new RegExp(named));
    if (hasBrowser) await seeOnConsole(id);

    await salvaged(id, join(base, "saved-running"));
    const reads = await run<ReadByOther[]>(0, "account", "reads", owner);
    assert.ok(reads.length >= 5 && reads.every(({ reason }) => reason === "salvage"));

    await installation.stop();
    await salvaged(id, join(base, "saved-stopped"));
    const again = await installation.cli("store", "salvage", "--to", join(base, "saved-stopped"));
    assert.equal(again.code, 66, "a folder with something in it");
    const stopped = await run<NamedReport>(2, "store", "verify");
    assert.deepEqual(stopped.mail, damaged[0]?.mail);
    const repaired = await run<ScrubReport>(2, "store", "repair");
    assert.deepEqual(repaired.damaged[0]?.mail, damaged[0]?.mail);

    // Without the index it cannot even be opened: what stands before the damage is still saved.
    for (const end of ["", "-wal", "-shm"])
      rmSync(join(folder, `index.sqlite${end}`), { force: true });
    const bare = await run<ScrubReport>(2, "store", "repair");
    assert.deepEqual(bare.damaged.map((one) => one.page).includes(page), true);
    const partly = await run<{ written: number; endsAt: string }>(
      ...[2, "store", "salvage", "--to", join(base, "saved-bare")],
    );
    assert.ok(partly.written >= 3, `${partly.written}`);
    assert.match(partly.endsAt, new RegExp(`page ${page}`));
  });

  function existsTail(): boolean {
    return readdirSync(folder).some((name) => name.startsWith("tail-"));
  }

  async function salvaged(id: string, to: string): Promise<void> {
    type Salvage = {
      written: number;
      lost: { message: string; address: string; mailbox: string }[];
    };
    const report = await run<Salvage>(2, "store", "salvage", "--to", to);
    assert.deepEqual(
      report.lost.map(({ message, address, mailbox }) => [message, address, mailbox]),
      [[id, owner, "INBOX"]],
    );
    const inbox = join(to, owner, "INBOX");
    const texts = readdirSync(inbox).map((name) => readFileSync(join(inbox, name), "latin1"));
    for (const marker of ["kept-1@x", "kept-2@x", "kept-3@x", "after@x"]) {
      assert.ok(
        texts.some((text) => text.includes(`<${marker}>`)),
        marker,
      );
    }
    assert.ok(report.written >= texts.length);
  }

  async function seeOnConsole(id: string): Promise<void> {
    const { url, token } = installation.ready().console;
    const browser = await launchBrowser();
    try {
      const page = await browser.newPage();
      await page.goto(`${url}/?token=${token}`.replace("//?", "/?"));
      await page.getByText(`${id}, ${owner} in INBOX`).waitFor();
      await page.getByText(/(one place is|2 places are) beyond repair/).waitFor();
    } finally {
      await browser.close();
    }
  }
});
