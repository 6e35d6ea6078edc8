import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ImapFlow } from "imapflow";
import { holds, refused, verify } from "../kit/auditor.ts";
import {
  application,
  type Installation,
  type Ready,
  startInstallation,
} from "../kit/installation.ts";
import { plainMessage, sendMail } from "../kit/smtp-dialogue.ts";

const folder = mkdtempSync(join(tmpdir(), "witness-alarm-"));
const data = join(folder, "data");
const evidence = (name: string): string => join(folder, name);
const witnessHead = join(data, "edge/smtp/witness.head");
let installation: Installation;
let facts: Ready;

interface Keys {
  readonly log: readonly string[];
  readonly witnesses: readonly (readonly string[])[];
}

async function start(): Promise<void> {
  installation = await startInstallation({ data });
  facts = installation.ready();
}

after(async () => {
  await installation.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function send(count: number, marker: string): Promise<string> {
  const to = installation.ready().accounts[0]?.address ?? "";
  let id = "";
  for (let number = 1; number <= count; number += 1) {
    const octets = plainMessage({ from: "a@localhost", to, marker: `${marker}-${number}@x` });
    const mail = { from: "a@localhost", to: [to], octets };
    const reply = await sendMail(installation.ready().smtp, mail);
    id =
      /kept as ([0-9a-f]{32})/.exec(reply ?? "")?.[1] ??
      assert.fail(`${reply}\n${installation.log()}`);
  }
  return id;
}

async function ok(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await installation.cli(...args);
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  return stdout;
}

async function json<Value>(...args: string[]): Promise<Value> {
  return JSON.parse(await ok(...args, "--json")) as Value;
}

/** Everything that an old copy of the hub's disk and of the keyring's would bring back. */
const parts = { store: "hub/store", heads: "hub/heads", log: "keyring/log" } as const;
type Part = keyof typeof parts;
const all = Object.keys(parts) as Part[];

function keep(name: string): void {
  for (const part of all) cpSync(join(data, parts[part]), join(folder, name, part), copying);
}
const copying = { recursive: true, preserveTimestamps: true };

function putBack(name: string, which: readonly Part[] = all): void {
  for (const part of which) {
    rmSync(join(data, parts[part]), { recursive: true });
    cpSync(join(folder, name, part), join(data, parts[part]), copying);
  }
}

/** What the hub says to its log from here on. */
function hubLog(): () => readonly Record<string, unknown>[] {
  const text = (): string => readFileSync(join(data, "logs/hub.log"), "utf8");
  const from = text().length;
  return () =>
    text()
      .slice(from)
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
}

async function until<Value>(what: string, look: () => Value | undefined): Promise<Value> {
  for (const deadlineMs = Date.now() + 30_000; ; await pause(100)) {
    const found = look();
    if (found !== undefined) return found;
    assert.ok(Date.now() < deadlineMs, `${what} never came`);
  }
}

const isRefusal = ({ event }: Record<string, unknown>): boolean => event === "witness.refused";

async function alarm(log: ReturnType<typeof hubLog>, reason: string): Promise<void> {
  const line = await until(reason, () =>
    log().find((one) => isRefusal(one) && one["reason"] === reason),
  );
  assert.equal(line["level"], "error");
}

async function measured(reason: string): Promise<void> {
  const { url, token } = installation.ready().console;
  const headers = { authorization: `Bearer ${token}` };
  const metrics = await (await fetch(`${url}/metrics`, { headers })).text();
  assert.match(metrics, new RegExp(`^witness_refused_total\\{reason="${reason}"\\} [1-9]`, "m"));
}

/** From the last head that the witness cosigned, on a stopped store. */
function checkStore(head = witnessHead) {
  return verify(["store", join(data, parts.store), "--head", head, ...withKeys]);
}
const withKeys = ["--log-keys", evidence("keys.json")];

before(async () => {
  mkdirSync(data);
  await start();
  await ok("witness", "head");
  await ok("witness", "keys", "--to", evidence("keys.json"));
  await send(3, "early");
  await ok("witness", "head", "--to", evidence("early.note"));
  await installation.stop();
  keep("early");
  await start();
  const id = await send(6, "late");
  await ok("witness", "prove", id, "--to", evidence("late.json"));
  await ok("witness", "head", "--to", evidence("late.note"));
  await installation.stop();
  keep("late");
});

/** The programs one by one, as a service manager runs them; the hub's clock may be another. */
async function services(
  names: readonly string[],
  clockByMs: number,
  work: () => Promise<void>,
): Promise<void> {
  const shift = `const now = Date.now; Date.now = () => now() + ${clockByMs};`;
  const children: ChildProcess[] = [];
  for (const name of names) {
    const flags = name === "hub" ? ["--import", `data:text/javascript,${shift}`] : [];
    const program = join(application, `programs/${name}.ts`);
    const settings = join(data, name.replace("edge-", "edge/"), "settings.json");
    const child = spawn(process.execPath, [...flags, program, "--settings", settings], {
      stdio: ["pipe", "pipe", openSync(join(data, `logs/${name}.log`), "a")],
    });
    await once(child.stdout as Readable, "data");
    children.unshift(child);
  }
  try {
    await work();
  } finally {
    for (const child of children) {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    }
  }
}

async function append(count: number): Promise<void> {
  const { imap, ca, accounts } = facts;
  const { address: user, password: pass } = accounts[0] ?? assert.fail();
  const tls = { ca: readFileSync(ca), servername: "localhost" };
  const client = new ImapFlow({
    ...{ host: imap.host, port: imap.port, secure: true, tls, auth: { user, pass }, logger: false },
  });
  await client.connect();
  for (let number = 1; number <= count; number += 1) {
    await client.append("INBOX", `Subject: never sent ${number}\r\n\r\nA line.\r\n`);
  }
  await client.logout();
}

describe("an old or another past, put under a running hub", () => {
  test("CAP-107 a whole disk rolled back raises the alarm at once, and again when it goes on", async () => {
    putBack("early");
    const log = hubLog();
    await start();
    await alarm(log, "rolled-back");
    await measured("rolled-back");
    const head = await installation.cli("witness", "head");
    assert.equal(head.code, 75);
    assert.match(head.stderr, /not cosigned: rolled-back/);
    await send(12, "again");
    assert.match((await installation.cli("witness", "head")).stderr, /not cosigned: fork/);
    await alarm(log, "fork");
    await measured("fork");
    await installation.stop();
    refused(
      checkStore(),
      /Among the first \d+ records something was changed: their tree is another/,
    );
    putBack("early");
    refused(checkStore(), /There are \d+ records; the witness saw \d+: \d+ are missing at the end/);
  });

  test("CAP-107 a past written anew, away from the witness, raises the alarm", async () => {
    putBack("early");
    await services(["keyring", "hub"], 0, () => append(20));
    const log = hubLog();
    await start();
    await alarm(log, "fork");
    await measured("fork");
    await installation.stop();
    refused(checkStore(), /Among the first \d+ records something was changed/);
  });

  test("CAP-107 keyring and hub say so too, each from what it remembers", async () => {
    putBack("early", ["store", "heads"]);
    putBack("late", ["log"]);
    const first = hubLog();
    await start();
    await alarm(first, "keyring");
    await measured("keyring");
    await installation.stop();
    putBack("late", ["heads"]);
    const second = hubLog();
    await start();
    await alarm(second, "own-history");
    await installation.stop();
  });

  test("CAP-107 a clock set back raises the alarm", async () => {
    putBack("late");
    const log = hubLog();
    const hourMs = 3_600_000;
    await services(["keyring", "edge-smtp", "hub"], -hourMs, () => alarm(log, "time-went-back"));
    holds(checkStore(), /tree of the head reproduced/);
  });

  test("CAP-107 what was put back whole is taken again", async () => {
    putBack("late");
    const log = hubLog();
    await start();
    await ok("witness", "head", "--to", evidence("whole.note"));
    assert.deepEqual(log().filter(isRefusal), []);
    await installation.stop();
    holds(checkStore(), /tree of the head reproduced/);
    holds(checkStore(evidence("early.note")), /reproduced; \d+ more came since/);
  });
});

describe("postern witness renew", () => {
  test("CAP-107 begins a new log after a restore, which the witness takes once it is told to", async () => {
    putBack("early", ["store"]);
    const log = hubLog();
    await start();
    await alarm(log, "own-history");
    const { log: keys } = await json<Keys>("witness", "keys");
    const name = keys[0]?.split("+")[0] ?? "";
    const wrong = await installation.cli("witness", "renew", `${name}0`);
    assert.equal(wrong.code, 77);
    assert.match(wrong.stderr, new RegExp(`the log is ${name}`));
    const next = (await ok("witness", "renew", name)).trim();
    assert.notEqual(next, name);
    assert.match(installation.log(), /"event":"keyring\.log-renewed"/);
    assert.match(installation.log(), /end the log \S+ and begin /);
    await alarm(log, "other-log");
    await installation.stop();
    refused(checkStore(), /records are missing|There are \d+ records/);

    // What the administrator does where the witness is.
    renameSync(witnessHead, `${witnessHead}-${name.slice(-8)}`);
    await start();
    assert.match(await ok("witness", "head", "--to", evidence("next.note")), /^$/);
    const id = await send(1, "after");
    await ok("witness", "prove", id, "--to", evidence("after.json"));
    const now = await json<Keys>("witness", "keys");
    await installation.stop();

    // What the auditor does: both logs, and the last head of the old one shows from where it went on.
    refused(checkStore(evidence("next.note")), /is not signed by the log/);
    const kept = JSON.parse(readFileSync(evidence("keys.json"), "utf8")) as Keys;
    assert.deepEqual(now.witnesses, kept.witnesses);
    const both = { ...kept, log: [...kept.log, ...now.log] };
    writeFileSync(evidence("keys.json"), JSON.stringify(both));
    holds(checkStore(), /tree of the head reproduced/);
    holds(checkStore(evidence("early.note")), /reproduced; \d+ more came since/);
    refused(checkStore(evidence("late.note")), /something was changed|are missing/);
    for (const proof of ["late.json", "after.json"]) {
      holds(verify(["proof", evidence(proof), ...withKeys]), /So the message exists since/);
    }
    const folders = readdirSync(join(data, "keyring")).filter((one) => one.startsWith("log"));
    assert.deepEqual(folders.sort(), ["log", `log-${name.slice(-8)}`]);
  });
});
