import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { hash, randomBytes, verify } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Clock, systemClock } from "#base/clock";
import { Denied, Misconfigured, Unavailable } from "#base/errors";
import { startFlags } from "#base/fence";
import { silentLog } from "#base/log";
import {
  connectKeyring,
  type Keyring,
  type SigningKey,
  UnknownMaster,
  WrapDamaged,
} from "#contracts/keyring";
import { formatHead } from "#formats/checkpoint";
import {
  type KeyringSettings,
  type MasterSettings,
  openCustody,
  type TokenSettings,
} from "#keys/custody";
import { manifest } from "../../../programs/keyring.ts";
import { grantsOf } from "../../cli/up/grants.ts";
import { makeSoftToken } from "./master/fixture.ts";

const application = join(import.meta.dirname, "../../..");
const program = join(application, "programs/keyring.ts");
const folder = mkdtempSync(join(tmpdir(), "keyring-"));
const socket = join(folder, "keyring.sock");
const keysDirectory = join(folder, "keys");
const secretFile = join(folder, "secret");
const settingsFile = join(folder, "settings.json");

const settings: KeyringSettings = {
  socket,
  keysDirectory,
  secretFile,
  master: { source: "file", directory: join(folder, "master") },
  logDirectory: join(folder, "log"),
  hostname: "mail.example.org",
};

/** As `postern up` starts it. */
const fence = startFlags(manifest, { application, folder });

interface Start {
  readonly flags?: readonly string[];
  readonly master?: MasterSettings;
  readonly env?: NodeJS.ProcessEnv;
}

function launch({ flags = fence, master = settings.master, env = {} }: Start = {}): ChildProcess {
  writeFileSync(settingsFile, JSON.stringify({ ...settings, master }));
  return spawn(process.execPath, [...flags, program, "--settings", settingsFile], {
    stdio: ["pipe", "pipe", "pipe"],
    env,
  });
}

async function startKeyring(how: Start = {}): Promise<ChildProcess> {
  const child = launch(how);
  let complaint = "";
  child.stderr?.on("data", (chunk) => {
    complaint += String(chunk);
  });
  assert.ok(child.stdout);
  const [said] = await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
  assert.equal(String(said), "ready\n", complaint);
  return child;
}

/** What a start that fails leaves: exit code and what was said. */
async function failToStart(how: Start): Promise<{ code: number | null; said: string }> {
  const child = launch(how);
  let said = "";
  child.stderr?.on("data", (chunk) => {
    said += String(chunk);
  });
  const [code] = await once(child, "close");
  return { code, said };
}

async function stop(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
  const gone = once(child, "exit");
  child.kill(signal);
  return (await gone)[0];
}

/** Ten times as fast as the system's. */
const hurried: Clock = {
  ...systemClock,
  after: (delayMs, run) => systemClock.after(delayMs / 10, run),
};

const access = { socket, secretFile, clock: systemClock, log: silentLog };

function headOf(origin: string, size: number): string {
  return formatHead({
    origin,
    size,
    root: Buffer.alloc(32, 1),
    timeMs: 1,
    storeId: "0".repeat(16),
  });
}

function verifies(key: SigningKey, octets: Buffer, signature: Buffer): boolean {
  const isRsa = key.algorithm === "rsa-sha256";
  const publicKey = {
    key: Buffer.from(key.publicKey, "base64"),
    format: "der",
    type: "spki",
  } as const;
  const signed = isRsa ? octets : hash("sha256", octets, "buffer");
  return verify(isRsa ? "sha256" : null, signed, publicKey, signature);
}

before(() => {
  mkdirSync(keysDirectory, { mode: 0o700 });
  writeFileSync(secretFile, randomBytes(32).toString("hex"), { mode: 0o600 });
});
after(() => rmSync(folder, { recursive: true }));

describe("the keyring behind its fence", () => {
  let child: ChildProcess;
  let keyring: Keyring;
  before(async () => {
    child = await startKeyring();
    keyring = connectKeyring(access);
  });
  after(async () => {
    await keyring[Symbol.asyncDispose]();
    assert.equal(await stop(child, "SIGTERM"), 0);
  });

  test("makes the keys of a domain once, durably and for its owner only", async () => {
    assert.deepEqual(await keyring.dkimKeys("example.org"), []);
    const [made, again] = await Promise.all([
      keyring.makeDkimKeys("Example.org"),
      keyring.makeDkimKeys("example.org"),
    ]);
    assert.deepEqual(made, again);
    assert.deepEqual(await keyring.makeDkimKeys("example.org"), made);
    assert.deepEqual(await keyring.dkimKeys("example.org"), made);
    const year = new Date().getUTCFullYear();
    assert.deepEqual(
      made.map((key) => [key.domain, key.selector, key.algorithm]),
      [
        ["example.org", `${year}a`, "rsa-sha256"],
        ["example.org", `${year}e`, "ed25519-sha256"],
      ],
    );
    const files = readdirSync(keysDirectory);
    assert.deepEqual(files, [`example.org.${year}a.pem`, `example.org.${year}e.pem`]);
    for (const file of files) assert.equal(statSync(join(keysDirectory, file)).mode & 0o777, 0o600);
    assert.equal(statSync(socket).mode & 0o777, 0o660);
  });

  test("signs what the public key verifies, many at once", async () => {
    const keys = await keyring.makeDkimKeys("example.org");
    await Promise.all(
      Array.from({ length: 200 }, async (_, at) => {
        const key = keys[at % 2] ?? assert.fail();
        const octets = randomBytes(at === 7 ? 300_000 : 20 + at);
        const signature = await keyring.dkimSign(key.domain, key.selector, octets);
        assert.ok(verifies(key, octets, signature));
      }),
    );
  });

  test("rotates the keys of a domain behind its fence", async () => {
    const old = await keyring.makeDkimKeys("rotated.example");
    const names = (keys: readonly SigningKey[]): string[] => keys.map(({ selector }) => selector);
    const added = await keyring.addDkimKeys("rotated.example");
    assert.deepEqual(await keyring.addDkimKeys("rotated.example"), added);
    assert.deepEqual(await keyring.dkimKeys("rotated.example"), old);
    await keyring.activateDkimKeys("rotated.example", names(added));
    assert.deepEqual(names(await keyring.dkimKeys("rotated.example")), names(added));
    const octets = Buffer.from("x");
    await assert.rejects(keyring.dkimSign("rotated.example", names(old)[0] ?? "", octets), Denied);
    await assert.rejects(
      keyring.retireDkimKeys("rotated.example", names(old), false),
      /signatures by \d{4}a of rotated.example are good until/,
    );
    await keyring.retireDkimKeys("rotated.example", names(old), true);
    await keyring.retireDkimKeys("rotated.example", names(old), false);
    const left = await keyring.allDkimKeys("rotated.example");
    assert.deepEqual(
      left.map(({ selector, state }) => [selector, state]),
      names(added).map((selector) => [selector, "active"]),
    );
    for (const name of readdirSync(keysDirectory).filter((one) => one.includes("rotated"))) {
      if (!name.endsWith("json")) rmSync(join(keysDirectory, name));
    }
  });

  test("denies what it has not, and names that are no domains", async () => {
    const octets = Buffer.from("x");
    await assert.rejects(keyring.dkimSign("example.org", "1999a", octets), Denied);
    await assert.rejects(keyring.dkimSign("other.example", "2026a", octets), Denied);
    for (const name of ["../up.org", "a/b.org", "", "nodots", `${"a".repeat(63)}.`.repeat(4)]) {
      await assert.rejects(keyring.makeDkimKeys(name), Denied);
    }
  });

  test("wraps keys under its master, unwraps them, and says which master is missing", async () => {
    const { current } = await keyring.masterIds();
    const key = randomBytes(32);
    const wrapped = await keyring.wrapKey(Buffer.from(key), "store 00");
    assert.equal(wrapped.master, current);
    assert.deepEqual(await keyring.unwrapKey(wrapped, "store 00"), key);
    await assert.rejects(keyring.unwrapKey(wrapped, "store 01"), WrapDamaged);
    await assert.rejects(keyring.wrapKey(key.subarray(1), "store 00"), Denied);
    const elsewhere = { ...wrapped, master: "0011223344556677" };
    await assert.rejects(keyring.unwrapKey(elsewhere, "store 00"), (error) => {
      assert.ok(error instanceof UnknownMaster);
      return error.master === elsewhere.master && error.message.includes("put back");
    });
  });

  test("rotates the master key, and destroys the old one on demand only", async () => {
    const { current: old } = await keyring.masterIds();
    const wrapped = await keyring.wrapKey(Buffer.alloc(32, 1), "store 00");
    const next = await keyring.rotateMaster();
    assert.deepEqual(await keyring.masterIds(), { current: next, held: [next, old] });
    const key = await keyring.unwrapKey(wrapped, "store 00");
    assert.equal((await keyring.wrapKey(key, "store 00")).master, next);
    await assert.rejects(keyring.retireMaster(next), Denied);
    await keyring.retireMaster(old);
    await assert.rejects(keyring.unwrapKey(wrapped, "store 00"), UnknownMaster);
  });

  test("signs heads of its log, and neither a step back nor anything else", async () => {
    const { name, ed25519, mlDsa65 } = await keyring.logKeys();
    const head = headOf(name, 42);
    const signatures = await keyring.signHead(head);
    const octets = Buffer.from(head);
    const spki = { format: "der", type: "spki" } as const;
    assert.ok(verify(null, octets, { key: ed25519, ...spki }, signatures.ed25519));
    assert.ok(verify(null, octets, { key: mlDsa65, ...spki }, signatures.mlDsa65));
    await assert.rejects(keyring.signHead(headOf(name, 41)), /step back/);
    await assert.rejects(keyring.signHead("hello"), Denied);
  });

  test("gives nothing to a process without the secret", async () => {
    const wrong = join(folder, "wrong");
    writeFileSync(wrong, randomBytes(32).toString("hex"), { mode: 0o600 });
    const stranger = connectKeyring({ ...access, clock: hurried, secretFile: wrong });
    await assert.rejects(stranger.dkimKeys("example.org"), Unavailable);
    await stranger[Symbol.asyncDispose]();
  });

  test("drops a connection that proves nothing or speaks nonsense", async () => {
    const frame = (json: string): Buffer => {
      const sizes = Buffer.alloc(8);
      sizes.writeUInt32BE(4 + json.length, 0);
      sizes.writeUInt32BE(json.length, 4);
      return Buffer.concat([sizes, Buffer.from(json)]);
    };
    const request = frame('{"id":1,"do":"dkimKeys","domain":"example.org"}');
    for (const octets of [request, Buffer.alloc(100), Buffer.alloc(100, 0xff), frame("no")]) {
      const stranger = connect({ path: socket });
      stranger.on("error", () => {});
      stranger.write(octets);
      let heard = Buffer.alloc(0);
      stranger.on("data", (chunk: Buffer) => {
        heard = Buffer.concat([heard, chunk]);
      });
      await once(stranger, "close");
      assert.equal(heard.length, 8 + 2 + 32, "no more than the challenge");
    }
    assert.equal((await keyring.dkimKeys("example.org")).length, 2);
  });

  test("is asked again after a restart, with the same keys", async () => {
    const keys = await keyring.dkimKeys("example.org");
    const log = await keyring.logKeys();
    const wrapped = await keyring.wrapKey(Buffer.alloc(32, 1), "store 00");
    await stop(child, "SIGKILL");
    const waiting = keyring.dkimKeys("example.org");
    child = await startKeyring();
    assert.deepEqual(await waiting, keys);
    assert.deepEqual(await keyring.logKeys(), log);
    assert.deepEqual(await keyring.unwrapKey(wrapped, "store 00"), Buffer.alloc(32, 1));
    await assert.rejects(keyring.signHead(headOf(log.name, 1)), /size 42/);
    const key = keys[0] ?? assert.fail();
    const octets = Buffer.from("after");
    assert.ok(verifies(key, octets, await keyring.dkimSign(key.domain, key.selector, octets)));
  });

  test("ends its log on demand, once, and begins another", async () => {
    const old = await keyring.logKeys();
    await keyring.renewLog("mail.example.org/00000000");
    assert.deepEqual(await keyring.logKeys(), old);
    await keyring.renewLog(old.name);
    await keyring.renewLog(old.name);
    const log = await keyring.logKeys();
    assert.notEqual(log.name, old.name);
    await assert.rejects(keyring.signHead(headOf(old.name, 43)), Denied);
    await keyring.signHead(headOf(log.name, 7));
    await stop(child, "SIGTERM");
    child = await startKeyring();
    assert.deepEqual(await keyring.logKeys(), log);
  });

  test("refuses to start twice at one socket", async () => {
    const { code, said } = await failToStart({});
    assert.equal(code, 78);
    assert.match(said, /another keyring serves/);
  });

  test("ends when its supervisor is gone", async () => {
    const gone = once(child, "exit");
    child.stdin?.end();
    assert.deepEqual(await gone, [0, null]);
    child = await startKeyring();
  });
});

describe("the master key of the keyring behind its fence", () => {
  const token = makeSoftToken();
  before(() => token.makeKey("postern-master"));
  after(() => token.remove());
  const onToken = (settings_: Partial<TokenSettings> = {}): Start => {
    const tokenSettings = { ...token.settings, ...settings_ };
    const master = { ...settings.master, source: "pkcs11", token: tokenSettings } as const;
    const grants = grantsOf("keyring", { ...settings, master });
    return { master, flags: startFlags(manifest, { application, folder }, grants) };
  };

  test("stays on a token, and rotates there", async () => {
    const child = await startKeyring(onToken());
    const keyring = connectKeyring(access);
    const wrapped = await keyring.wrapKey(Buffer.alloc(32, 1), "store 00");
    assert.equal(wrapped.master, "token:postern-master");
    assert.equal(await keyring.rotateMaster(), "token:postern-master-2");
    assert.deepEqual(await keyring.unwrapKey(wrapped, "store 00"), Buffer.alloc(32, 1));
    const key = (await keyring.dkimKeys("example.org"))[0] ?? assert.fail();
    assert.ok((await keyring.dkimSign(key.domain, key.selector, Buffer.from("x"))).length > 0);
    await keyring[Symbol.asyncDispose]();
    assert.equal(await stop(child, "SIGTERM"), 0);
  });

  test("is missed when the token is: no start, and one that works once it is back", async () => {
    token.unplug();
    const { code, said } = await failToStart(onToken());
    assert.equal(code, 1, "worth another try");
    assert.match(said, /the token \\"postern\\" of .* is not there/);
    token.plug();
    assert.equal(await stop(await startKeyring(onToken()), "SIGTERM"), 0);
  });

  test("is not guessed at: a wrong PIN or label ends the start for good", async () => {
    const wrongPin = join(folder, "wrong-pin");
    writeFileSync(wrongPin, "555555", { mode: 0o600 });
    const grants = { reads: [join(token.folder, "pin")], ffi: false };
    const flags = startFlags(manifest, { application, folder }, grants);
    const ungranted = { ...onToken(), flags };
    const cases = [
      [onToken({ pinFile: wrongPin }), /refuses the PIN .*CKR_PIN_INCORRECT/],
      [onToken({ key: "absent" }), /no AES key labelled \\"absent\\"/],
      [onToken({ module: "/nowhere.so" }), /\/nowhere.so cannot be loaded/],
      [ungranted, /cannot be loaded: .*node:ffi/],
    ] as const;
    for (const [how, expected] of cases) {
      const { code, said } = await failToStart(how);
      assert.equal(code, 78, said);
      assert.match(said, expected);
      assert.ok(!said.includes("555555"));
    }
  });

  test("comes from the service manager's credential, outside of the folder", async () => {
    const credentials = mkdtempSync(join(tmpdir(), "credentials-"));
    process.env["CREDENTIALS_DIRECTORY"] = credentials;
    try {
      const how: Start = {
        master: { ...settings.master, source: "credential" },
        flags: startFlags(manifest, { application, folder }, grantsOf("keyring", settings)),
        env: { CREDENTIALS_DIRECTORY: credentials },
      };
      const { code, said } = await failToStart(how);
      assert.equal(code, 78);
      assert.match(said, /postern-master cannot be read \(ENOENT\)/);
      writeFileSync(join(credentials, "postern-master"), randomBytes(32));
      const child = await startKeyring(how);
      const keyring = connectKeyring(access);
      const wrapped = await keyring.wrapKey(Buffer.alloc(32, 1), "store 00");
      assert.deepEqual(await keyring.unwrapKey(wrapped, "store 00"), Buffer.alloc(32, 1));
      await assert.rejects(keyring.rotateMaster(), /never written/);
      await keyring[Symbol.asyncDispose]();
      assert.equal(await stop(child, "SIGTERM"), 0);
    } finally {
      delete process.env["CREDENTIALS_DIRECTORY"];
      rmSync(credentials, { recursive: true });
    }
  });
});

describe("connectKeyring()", () => {
  test("gives up after five seconds on a keyring that stays away", async () => {
    const away = connectKeyring({
      ...access,
      clock: hurried,
      socket: join(folder, "nowhere.sock"),
    });
    const startedAt = performance.now();
    await assert.rejects(away.dkimKeys("example.org"), Unavailable);
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs > 400 && tookMs < 2000);
    await away[Symbol.asyncDispose]();
    await assert.rejects(away.dkimKeys("example.org"), Unavailable);
  });

  test("refuses a secret that is short, or that others can read", () => {
    const secret = join(folder, "bad-secret");
    writeFileSync(secret, "00".repeat(31), { mode: 0o600 });
    assert.throws(() => connectKeyring({ ...access, secretFile: secret }), Misconfigured);
    writeFileSync(secret, "00".repeat(32));
    chmodSync(secret, 0o644);
    assert.throws(() => connectKeyring({ ...access, secretFile: secret }), Misconfigured);
  });
});

describe("openCustody()", () => {
  test("refuses keys that others can read, and files that are none", async () => {
    const directory = join(folder, "other-keys");
    mkdirSync(directory);
    const path = join(directory, "example.org.2026a.pem");
    writeFileSync(path, "nothing", { mode: 0o600 });
    await assert.rejects(openCustody(directory), Misconfigured);
    const [name = ""] = readdirSync(keysDirectory);
    writeFileSync(path, readFileSync(join(keysDirectory, name)));
    chmodSync(path, 0o640);
    await assert.rejects(openCustody(directory), Misconfigured);
    chmodSync(path, 0o600);
    assert.equal((await openCustody(directory)).count, 1);
  });

  test("forgets a key that was never finished", async () => {
    const directory = join(folder, "half-keys");
    mkdirSync(directory);
    writeFileSync(join(directory, "example.org.2026a.pem.part"), "-----BEGIN", { mode: 0o600 });
    assert.equal((await openCustody(directory)).count, 0);
    assert.deepEqual(readdirSync(directory), []);
  });
});
