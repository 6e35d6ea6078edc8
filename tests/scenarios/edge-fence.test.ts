import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { startFlags } from "#base/fence";
import { manifest as edgeSmtp } from "../../programs/edge-smtp.ts";
import { manifest as edgeWeb } from "../../programs/edge-web.ts";
import { userOf } from "../../src/cli/up/users.ts";
import {
  application,
  freePorts,
  type Installation,
  startInstallation,
} from "../kit/installation.ts";
import { plainMessage, sendMail } from "../kit/smtp-dialogue.ts";

let installation: Installation;

before(async () => {
  installation = await startInstallation({ config: '[link]\nspool = "sealed"\nspoolMib = 16\n' });
});

after(async () => {
  await installation[Symbol.asyncDispose]();
});

/** Starts one more process of an edge with its own flags, and the probe inside. */
async function probe(
  manifest: typeof edgeSmtp,
  folder: string,
  moved: (settings: Record<string, unknown>) => Promise<void>,
): Promise<{ reached: string[]; refused: string[] }> {
  const settings = JSON.parse(readFileSync(join(folder, "settings.json"), "utf8")) as Record<
    string,
    unknown
  >;
  await moved(settings);
  const settingsFile = join(folder, "probe.json");
  writeFileSync(settingsFile, JSON.stringify(settings));
  const { data } = installation;
  const targets = {
    files: [
      ...["hub/settings.json", "hub/policy.key", "hub/seal-keys.json", "hub/admin.secret"],
      ...["hub/store/index.sqlite", "keyring/secret", "keyring/settings.json", "pki/site-ca.key"],
      ...["demo.json", "ready.json"],
      ...readdirSync(join(data, "keyring/keys"), { recursive: true }).map(
        (name) => `keyring/keys/${String(name)}`,
      ),
    ].map((name) => join(data, name)),
    imports: [
      "#store",
      "#directory",
      "#keys/custody",
      "#keys/authority",
      "#access/imap",
      "#hub",
      "commander",
      "hono",
    ],
    sockets: [join(data, "keyring/keyring.sock"), join(data, "hub/admin.sock")],
    writable: [
      join(data, "hub/planted"),
      join(application, "src/planted.ts"),
      join(data, "postern.toml"),
    ],
    data,
    secret: join(data, "hub/admin.secret"),
    own: folder,
  };
  // The probe itself is the only file that its program may read in addition.
  const probeFile = join(application, "tests/kit/edge-probe.ts");
  const flags = [...startFlags(manifest, { application, folder }), `--allow-fs-read=${probeFile}`];
  const child = spawn(
    process.execPath,
    [...flags, "--import", probeFile, `programs/${manifest.name}.ts`, "--settings", settingsFile],
    {
      cwd: application,
      env: { PROBE_TARGETS: JSON.stringify(targets) },
      stdio: ["pipe", "pipe", "pipe"],
    },
  );
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      if (line === "ready") child.kill("SIGUSR2");
      if (!line.startsWith("probe ")) continue;
      return JSON.parse(line.slice(6)) as { reached: string[]; refused: string[] };
    }
    throw new Error(`the probe said nothing:\n${stderr}`);
  } finally {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
}

describe("from inside a running edge", () => {
  test("CAP-1 CAP-12 G4 edge-smtp reaches neither store, keys nor directory", async () => {
    const result = await probe(edgeSmtp, join(installation.data, "edge/smtp"), async (settings) => {
      const [smtp = 0, link = 0] = await freePorts(2);
      settings["listen"] = { host: "127.0.0.1", port: smtp };
      (settings["link"] as { listen: object }).listen = { host: "127.0.0.1", port: link };
      settings["spool"] = "reject";
    });
    assert.deepEqual(result.reached, []);
    assert.ok(result.refused.length >= 60, `only ${result.refused.length} attempts were made`);
  });

  test("CAP-1 CAP-12 G4 edge-web reaches neither store, keys nor directory", async () => {
    const result = await probe(edgeWeb, join(installation.data, "edge/web"), async (settings) => {
      const [https = 0, link = 0] = await freePorts(2);
      settings["listen"] = { host: "127.0.0.1", port: https };
      (settings["link"] as { listen: object }).listen = { host: "127.0.0.1", port: link };
    });
    assert.deepEqual(result.reached, []);
    assert.ok(result.refused.length >= 60, `only ${result.refused.length} attempts were made`);
  });
});

describe("on one machine", () => {
  test("the edges run as users of their own, who may not even list the inside's folders", async (t) => {
    if (userOf("edge-smtp", application, installation.data) === undefined) {
      return t.skip("only root may choose users, and only where all may read the code");
    }
    const { pids } = installation.ready();
    const owner = (pid: number): string =>
      /^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";
    const uids = [owner(pids["edge-smtp"]), owner(pids["edge-web"])];
    assert.deepEqual(uids, ["61110", "61111"]);
    for (const uid of uids) {
      for (const folder of ["hub", "keyring", "pki", "logs"]) {
        assert.throws(
          () =>
            execFileSync("ls", [join(installation.data, folder)], {
              uid: Number(uid),
              gid: Number(uid),
              stdio: "pipe",
            }),
          /Permission denied/,
        );
      }
    }
  });
});

describe("the edge's disk", () => {
  test("CAP-2 holds no readable body, credential or inside key after 1,000 mails and a spool", async () => {
    const { smtp, accounts, edgeDir, pids } = installation.ready();
    const to = accounts[0]?.address ?? "";
    const secretBody = "the quarterly figures nobody may see";
    const send = (nth: number): Promise<string | undefined> =>
      sendMail(smtp, {
        from: "a@localhost",
        to: [to],
        octets: plainMessage({ from: "a@localhost", to, marker: `m${nth}@x`, body: secretBody }),
      });
    let kept = 0;
    for (let nth = 0; nth < 950; nth += 10) {
      const replies = await Promise.all(Array.from({ length: 10 }, (_, one) => send(nth + one)));
      kept += replies.filter((reply) => reply?.startsWith("250")).length;
    }
    // A hub that hangs: its links die, and mail goes to the sealed spool.
    process.kill(pids.hub, "SIGSTOP");
    let spooled = 0;
    try {
      for (let nth = 0; nth < 50 || (spooled === 0 && nth < 80); nth += 10) {
        const replies = await Promise.all(
          Array.from({ length: 10 }, (_, one) => send(5000 + nth + one)),
        );
        spooled += replies.filter((reply) => reply?.startsWith("250")).length;
      }
      assert.equal(kept, 950);
      assert.ok(spooled >= 50, `${spooled} were spooled`);
      // The disk as a thief would find it now.
      const disk = execFileSync("tar", ["-cf", "-", "-C", edgeDir, "."], { maxBuffer: 1 << 30 });
      for (const secret of secrets()) {
        assert.equal(
          disk.indexOf(secret),
          -1,
          `the edge's disk holds ${secret.slice(0, 30).toString()}`,
        );
      }
      assert.equal(disk.indexOf(secretBody), -1);
      assert.equal(disk.indexOf(Buffer.from(secretBody).toString("base64").slice(4, 30)), -1);
      assert.equal(disk.indexOf(to), -1);
    } finally {
      process.kill(pids.hub, "SIGCONT");
    }
  });
});

/** Everything that only the inside may have. */
function secrets(): Buffer[] {
  const { data } = installation;
  const { accounts } = installation.ready();
  const seal = JSON.parse(readFileSync(join(data, "hub/seal-keys.json"), "utf8")) as {
    privateKeys: Record<string, string>;
  };
  const pem = (name: string): string => readFileSync(join(data, name), "utf8").split("\n")[1] ?? "";
  return [
    ...accounts.map(({ password }) => password),
    ...Object.values(seal.privateKeys).map((key) => key.slice(40, 100)),
    pem("hub/policy.key"),
    pem("hub/link.key"),
    pem("pki/site-ca.key"),
    readFileSync(join(data, "keyring/secret"), "utf8").trim(),
    readFileSync(join(data, "hub/admin.secret"), "utf8").trim(),
  ].map((text) => Buffer.from(text));
}
