import assert from "node:assert/strict";
import {
  closeSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ImapFlow } from "imapflow";
import { type Installation, runCli, startInstallation } from "../kit/installation.ts";
import { plainMessage, sendMail } from "../kit/smtp-dialogue.ts";

const base = mkdtempSync(join(tmpdir(), "postern-backup-way-"));
const [data, target, next] = [join(base, "data"), join(base, "target"), join(base, "next")];
const keyFile = join(base, "recovery.key");
const key = ["--key", keyFile];
let installation: Installation;

before(async () => {
  mkdirSync(data);
  mkdirSync(target);
  installation = await startInstallation({ data });
  owner = installation.ready().accounts[0] ?? owner;
});
after(async () => {
  await installation[Symbol.asyncDispose]();
  rmSync(base, { recursive: true });
});

async function send(marker: string): Promise<string> {
  const to = owner.address;
  const octets = plainMessage({ from: "a@localhost", to, marker, subject: marker });
  const mail = { from: "a@localhost", to: [to], octets };
  const reply = await sendMail(installation.ready().smtp, mail);
  return /kept as ([0-9a-f]{32})/.exec(reply ?? "")?.[1] ?? assert.fail(reply ?? "broken");
}

/** The first account of the demonstration. */
let owner = { address: "", password: "" };

async function subjects(from: Installation): Promise<string[]> {
  const { imap, ca } = from.ready();
  const { address: user, password: pass } = owner;
  const tls = { ca: readFileSync(ca), servername: "localhost" };
  const client = new ImapFlow({
    ...{ host: imap.host, port: imap.port, secure: true, tls, auth: { user, pass }, logger: false },
  });
  await client.connect();
  try {
    const lock = await client.getMailboxLock("INBOX");
    const found = await client.fetchAll("1:*", { envelope: true });
    lock.release();
    return found.map(({ envelope }) => envelope?.subject ?? "");
  } finally {
    await client.logout();
  }
}

async function ok(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await installation.cli(...args);
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  return stdout;
}

async function json<Value>(...args: string[]): Promise<Value> {
  return JSON.parse(await ok(...args, "--json")) as Value;
}

interface Made {
  readonly name: string;
  readonly lsn: number;
  readonly newBytes: number;
  readonly isSigned: boolean;
  readonly repairedPages: number;
}

const from = ["--from", target];
const pageBytes = 8192;

/** Pages in use at the front of a segment. */
function pagesIn(segment: Buffer): number {
  let pages = 0;
  while (segment.toString("latin1", pages * pageBytes, pages * pageBytes + 4) === "2TSP")
    pages += 1;
  return pages;
}

function overwrite(path: string, at: number, octets: Uint8Array): void {
  const file = openSync(path, "r+");
  writeSync(file, octets, 0, octets.length, at);
  closeSync(file);
}

describe("CAP-100 CAP-102 the way of a backup", () => {
  test("begins with a recovery key, whose private part is shown once", async () => {
    const none = await installation.cli("backup", "create", "--to", target);
    assert.equal(none.code, 78, none.stderr);
    assert.match(none.stderr, /recovery key/);
    const { code, stdout, stderr } = await installation.cli("backup", "key", "--to", keyFile);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /Without it no backup can be restored/);
    assert.ok(!stdout.includes("01  "));
    assert.match(readFileSync(keyFile, "utf8"), /PRIVATE PART/);
    const again = await installation.cli("backup", "key");
    assert.equal(again.code, 1);
    assert.match(again.stderr, /there is one/);
  });

  test("goes on with backups of the running system, signed by the log", async () => {
    await send("first");
    const nowhere = await installation.cli("backup", "create");
    assert.equal(nowhere.code, 78);
    assert.match(nowhere.stderr, /backup\.target|--to/);
    const one = await json<Made>("backup", "create", "--to", target);
    assert.ok(one.isSigned);
    await send("second");
    const two = await json<Made>("backup", "create", "--to", target);
    assert.ok(two.lsn > one.lsn && two.newBytes < one.newBytes * 3);
    const list = await json<{ name: string }[]>("backup", "list", ...from);
    assert.deepEqual(
      list.map(({ name }) => name),
      [two.name, one.name],
    );
    assert.match(await ok("backup", "list", ...from), /MiB in \d+ objects/);
  });

  test("puts a flipped bit of the store right, and stops at a lost page, saying whose it was", async () => {
    const id = await send("on-a-page");
    const files = ["segment-00000001", "tail-00000001"].map((name) =>
      join(installation.ready().storeDir, name),
    );
    await pause(2000); // the second copy follows
    const right = readFileSync(files[0] ?? "");
    const pages = pagesIn(right);
    const healed = mkdtempSync(join(base, "healed-"));
    const at = pages * pageBytes - 3000;
    overwrite(files[0] ?? "", at, Buffer.from([(right[at] ?? 0) ^ 16]));
    const made = await json<Made>("backup", "create", "--to", healed);
    assert.equal(made.repairedPages, 1);
    const now = readFileSync(files[0] ?? "").subarray(0, pages * pageBytes);
    assert.ok(now.equals(right.subarray(0, pages * pageBytes)), "it is right on the disk");

    // The mail stands on one of the last pages that there were; each is lost in both copies for once.
    let said = "";
    for (let page = pages - 1; page > 0 && !said.includes(id); page -= 1) {
      const from = page * pageBytes;
      for (const path of files) overwrite(path, from + 100, Buffer.alloc(7000, 0x55));
      const to = ["--to", mkdtempSync(join(base, "no-"))];
      const { code, stderr } = await installation.cli("backup", "create", ...to);
      for (const path of files) overwrite(path, from, right.subarray(from, from + pageBytes));
      assert.equal(code, 1, stderr);
      assert.match(stderr, new RegExp(`segment-00000001 page ${page}`));
      said = stderr;
    }
    assert.match(said, new RegExp(`${id}, ${owner.address} in INBOX`));
  });

  test("is checked with the key and without, and by whom it was signed", async () => {
    assert.match(await ok("backup", "verify", ...from), /hashes agree/);
    const keys = join(base, "keys.json");
    await ok("witness", "keys", "--to", keys);
    const text = await ok("backup", "verify", ...from, ...key, "--log-keys", keys);
    assert.match(text, /whole and sound/);
    assert.match(text, /head signed +yes, by the log/);
  });

  test("is tried out, and the ledger remembers it", async () => {
    const { ok: passed, messages } = await json<{ ok: boolean; messages: number }>(
      ...["backup", "drill", ...from, ...key, "--sandbox", base],
    );
    assert.ok(passed && messages >= 2);
    assert.deepEqual(
      readdirSync(base).filter((name) => name.includes("drill")),
      [],
    );
    const { console: door } = installation.ready();
    const page = await fetch(`${door.url}/metrics`, {
      headers: { authorization: `Bearer ${door.token}` },
    });
    const metrics = await page.text();
    assert.match(metrics, /backup_drill_last_at \d{10}/);
    assert.match(metrics, /backup_last_at \d{10}/);
    assert.match(metrics, /backups_total\{outcome="ok"\} 3/);
  });

  test("tells what somebody did to it", async () => {
    const copy = join(base, "copy");
    cpSync(target, copy, { recursive: true });
    const name = readdirSync(join(copy, "objects")).find((one) => one.includes("-segment-")) ?? "";
    const path = join(copy, "objects", name);
    const octets = readFileSync(path);
    octets[octets.length - 100] = (octets[octets.length - 100] ?? 0) ^ 1;
    writeFileSync(path, octets);
    const bad = await installation.cli("backup", "verify", "--from", copy);
    assert.equal(bad.code, 2);
    assert.match(bad.stdout, new RegExp(`BAD objects/${name} was altered`));
    const drill = await installation.cli("backup", "drill", "--from", copy, ...key);
    assert.equal(drill.code, 2, drill.stderr);
    assert.match(drill.stdout, /FAILED: objects/);
    const refused = ["backup", "restore", "--from", copy, ...key, "--into", join(base, "never")];
    const restore = await installation.cli(...refused);
    assert.equal(restore.code, 1);
    assert.deepEqual(readdirSync(join(base, "never/hub/store")), []);
    rmSync(copy, { recursive: true });
  });

  test("is made of the stopped files too", async () => {
    await send("third");
    const running = await subjects(installation);
    await installation.stop();
    const { code, stdout, stderr } = await runCli(data, ["backup", "create", "--to", target]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /not signed/);
    assert.deepEqual(running, ["first", "second", "on-a-page", "third"]);
  });

  test("ends on a new machine, with the mail and the passwords of the old one", async () => {
    const elsewhere = ["backup", "restore", ...from, ...key, "--into", next];
    const wrong = join(base, "other.key");
    const other = mkdtempSync(join(base, "other-"));
    await runCli(other, ["backup", "key", "--to", wrong]);
    const locked = await runCli(next, [
      "backup",
      "restore",
      ...from,
      "--key",
      wrong,
      "--into",
      next,
    ]);
    assert.equal(locked.code, 1);
    assert.match(locked.stderr, /another recovery key/);
    const early = await runCli(next, [...elsewhere, "--until", "2001-01-01"]);
    assert.equal(early.code, 78, early.stderr);
    const { code, stdout, stderr } = await runCli(next, elsewhere);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /up to record \d+ of \d+/);
    assert.match(stderr, /postern\.toml/);
    assert.match(stderr, /witness renew/);
    const twice = await runCli(next, elsewhere);
    assert.equal(twice.code, 78);
    assert.match(twice.stderr, /never touches/);
    copyFileSync(join(data, "demo.json"), join(next, "demo.json"));
    await using second = await startInstallation({ data: next });
    assert.deepEqual(await subjects(second), ["first", "second", "on-a-page", "third"]);
    const verified = await runCli(next, ["store", "verify"]);
    assert.equal(verified.code, 0, verified.stdout);
  });
});
