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
import { connectKeyring, type Keyring, type SigningKey } from "#contracts/keyring";
import { openCustody } from "#keys/custody";
import { manifest } from "../../../programs/keyring.ts";

const application = join(import.meta.dirname, "../../..");
const program = join(application, "programs/keyring.ts");
const folder = mkdtempSync(join(tmpdir(), "keyring-"));
const socket = join(folder, "keyring.sock");
const keysDirectory = join(folder, "keys");
const secretFile = join(folder, "secret");
const settingsFile = join(folder, "settings.json");

/** As `postern up` starts it, and what else holds for this program. */
const fence = [
  ...startFlags(manifest, { application, folder }),
  "--frozen-intrinsics",
  "--no-addons",
  "--no-experimental-sqlite",
  "--max-old-space-size=128",
  "--secure-heap=1048576",
  "--secure-heap-min=2048",
];

async function startKeyring(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [...fence, program, "--settings", settingsFile], {
    stdio: ["pipe", "pipe", "pipe"],
    env: {},
  });
  let complaint = "";
  child.stderr.on("data", (chunk) => {
    complaint += String(chunk);
  });
  const [said] = await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
  assert.equal(String(said), "ready\n", complaint);
  return child;
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
  writeFileSync(settingsFile, JSON.stringify({ socket, keysDirectory, secretFile }));
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
    assert.equal(statSync(socket).mode & 0o777, 0o600);
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

  test("denies what it has not, and names that are no domains", async () => {
    const octets = Buffer.from("x");
    await assert.rejects(keyring.dkimSign("example.org", "1999a", octets), Denied);
    await assert.rejects(keyring.dkimSign("other.example", "2026a", octets), Denied);
    for (const name of ["../up.org", "a/b.org", "", "nodots", `${"a".repeat(63)}.`.repeat(4)]) {
      await assert.rejects(keyring.makeDkimKeys(name), Denied);
    }
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
    await stop(child, "SIGKILL");
    const waiting = keyring.dkimKeys("example.org");
    child = await startKeyring();
    assert.deepEqual(await waiting, keys);
    const key = keys[0] ?? assert.fail();
    const octets = Buffer.from("after");
    assert.ok(verifies(key, octets, await keyring.dkimSign(key.domain, key.selector, octets)));
  });

  test("refuses to start twice at one socket", async () => {
    const second = spawn(process.execPath, [...fence, program, "--settings", settingsFile], {
      stdio: ["pipe", "ignore", "ignore"],
      env: {},
    });
    assert.deepEqual(await once(second, "exit"), [78, null]);
  });

  test("ends when its supervisor is gone", async () => {
    const gone = once(child, "exit");
    child.stdin?.end();
    assert.deepEqual(await gone, [0, null]);
    child = await startKeyring();
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
  test("refuses keys that others can read, and files that are none", () => {
    const directory = join(folder, "other-keys");
    mkdirSync(directory);
    const path = join(directory, "example.org.2026a.pem");
    writeFileSync(path, "nothing", { mode: 0o600 });
    assert.throws(() => openCustody(directory), Misconfigured);
    const [name = ""] = readdirSync(keysDirectory);
    writeFileSync(path, readFileSync(join(keysDirectory, name)));
    chmodSync(path, 0o640);
    assert.throws(() => openCustody(directory), Misconfigured);
    chmodSync(path, 0o600);
    assert.equal(openCustody(directory).count, 1);
  });

  test("forgets a key that was never finished", () => {
    const directory = join(folder, "half-keys");
    mkdirSync(directory);
    writeFileSync(join(directory, "example.org.2026a.pem.part"), "-----BEGIN", { mode: 0o600 });
    assert.equal(openCustody(directory).count, 0);
    assert.deepEqual(readdirSync(directory), []);
  });
});
