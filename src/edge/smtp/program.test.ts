import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac, generateKeyPairSync, sign, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startFlags } from "#base/fence";
import { defaultsOf } from "#base/parameters";
import { makeSealKeys, openSealed } from "#contracts/sealed";
import {
  abuseParameters,
  type EdgeSmtpSettings,
  edgeSmtpParameters,
  prepareEdgeSpool,
} from "#edge/smtp";
import { defaultSenderRules } from "#policy";
import { smtpParameters } from "#transport/smtp-server";
import { pemOf } from "../../../tests/kit/certificate.ts";
import { openSpool, openSpoolFiles } from "./spool/index.ts";

/** As in the program's manifest. */
const fenced = {
  name: "edge-smtp",
  mayReach: ["edge", "identity", "policy", "transport"],
  fence: "permission",
  zone: "dmz",
} as const;

const application = join(import.meta.dirname, "../../..");

function prepared(folder: string): {
  settings: EdgeSmtpSettings;
  keys: ReturnType<typeof makeSealKeys>;
} {
  const pem = pemOf("hub");
  const pemFile = join(folder, "link.pem");
  writeFileSync(pemFile, pem);
  const keys = makeSealKeys();
  const policyKey = generateKeyPairSync("ed25519");
  const salt = Buffer.alloc(32, 3);
  const digest = (text: string): string =>
    createHmac("sha256", salt).update(text).digest("base64url");
  const spf = { fail: "accept", softfail: "accept", temperror: "accept", permerror: "accept" };
  const snapshot = JSON.stringify({
    version: 1,
    madeAtMs: 0,
    salt: salt.toString("base64"),
    maxMessageBytes: 1e6,
    ownRelays: [],
    trustedSealers: [],
    praMode: "rfc4407",
    rules: { ...defaultSenderRules, spf },
    recipients: [digest("ann@example.org")],
    domains: [digest("example.org")],
    sealTo: keys.publicKeys,
  });
  const signature = sign(null, Buffer.from(snapshot), policyKey.privateKey).toString("base64");
  writeFileSync(join(folder, "policy.snapshot"), JSON.stringify({ snapshot, signature }));
  const files = { certificate: pemFile, key: pemFile };
  const settings: EdgeSmtpSettings = {
    hostname: "mx.example.org",
    listen: { host: "127.0.0.1", port: 0 },
    tls: files,
    link: {
      listen: { host: "127.0.0.1", port: 0 },
      ...files,
      authority: pemFile,
      hubFingerprint: new X509Certificate(pem).fingerprint256,
    },
    policyPublicKey: policyKey.publicKey.export({ type: "spki", format: "pem" }).toString(),
    folder,
    spool: "sealed",
    spoolMib: 32,
    dns: {
      servers: ["127.0.0.1:9"],
      timeoutMs: 100,
      attempts: 3,
      cacheEntries: 100,
      trustAuthenticated: false,
    },
    egressPorts: [25],
    egressPrivate: false,
    smtp: defaultsOf(smtpParameters),
    abuse: defaultsOf(abuseParameters),
    edge: defaultsOf(edgeSmtpParameters),
  };
  return { settings, keys };
}

/** Sends everything at once where SMTP allows it; resolves with what was said after the dot. */
async function send(port: number): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let text = "";
  socket.on("data", (chunk) => (text += chunk));
  const said = async (pattern: RegExp): Promise<void> => {
    while (!pattern.test(text)) await once(socket, "data");
  };
  await said(/^220 /);
  socket.write("EHLO client.example\r\n");
  await said(/^250 /m);
  socket.write("MAIL FROM:<a@sender.example>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n");
  await said(/^354 /m);
  text = "";
  socket.write("Subject: secret words\r\n\r\nvery secret words\r\n.\r\n");
  await said(/\r\n$/);
  socket.destroy();
  return text;
}

test("the fenced program keeps mail sealed over a kill, and stops in order on SIGTERM", async () => {
  const folder = mkdtempSync(join(tmpdir(), "edge-program-"));
  try {
    const { settings, keys } = prepared(folder);
    await prepareEdgeSpool(settings);
    const settingsFile = join(folder, "settings.json");
    writeFileSync(settingsFile, JSON.stringify(settings));
    const flags = startFlags(fenced, { application, folder });
    const args = [...flags, join(application, "programs/edge-smtp.ts"), "--settings", settingsFile];
    const start = async () => {
      const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "pipe"] });
      let log = "";
      child.stderr.on("data", (chunk) => (log += chunk));
      await Promise.race([
        once(child.stdout, "data"),
        once(child, "exit").then(() => assert.fail(`ended: ${log}`)),
      ]);
      while (!log.includes("edge.listens")) await once(child.stderr, "data");
      const port = Number(/"smtp":(\d+)/.exec(log)?.[1]);
      return { child, port };
    };

    const first = await start();
    assert.match(await send(first.port), /^250 2\.0\.0 kept as/);
    first.child.kill("SIGKILL");
    await once(first.child, "exit");

    const second = await start();
    assert.match(await send(second.port), /^250 2\.0\.0 kept as/);
    second.child.kill("SIGTERM");
    const [code] = await once(second.child, "exit");
    assert.equal(code, 0);

    // The witness made its keys behind the fence.
    assert.match(readFileSync(join(folder, "witness.keys"), "utf8"), /mx\.example\.org\/witness/);

    const spoolFolder = join(folder, "spool");
    for (const name of readdirSync(spoolFolder)) {
      const bytes = readFileSync(join(spoolFolder, name));
      assert.ok(!bytes.includes("secret") && !bytes.includes("example"));
    }
    const spool = await openSpool(await openSpoolFiles(spoolFolder));
    assert.equal(spool.waiting().length, 2);
    for (const id of spool.waiting()) {
      const parts: Buffer[] = [];
      for await (const part of spool.read(id)) parts.push(part);
      const opened = openSealed(keys.privateKeys, parts);
      assert.ok(opened.ok);
      assert.match(Buffer.concat(opened.value.content).toString(), /very secret words\r\n$/);
    }
    await spool.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
