import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ImapFlow } from "imapflow";
import { holds, otherNode, refused, verify } from "../kit/auditor.ts";
import { type Installation, startInstallation } from "../kit/installation.ts";
import { plainMessage, sendMail } from "../kit/smtp-dialogue.ts";

const data = mkdtempSync(join(tmpdir(), "postern-witness-"));
const evidence = mkdtempSync(join(tmpdir(), "evidence-"));
let installation: Installation;

before(async () => {
  installation = await startInstallation({ data });
});

after(async () => {
  await installation[Symbol.asyncDispose]();
  for (const folder of [data, evidence]) rmSync(folder, { recursive: true, force: true });
});

const owner = (): { address: string; password: string } =>
  installation.ready().accounts[0] ?? { address: "", password: "" };

/** Sends one message and says under which id it was kept. */
async function send(marker: string): Promise<string> {
  const to = owner().address;
  const octets = plainMessage({ from: "a@localhost", to, marker, body: `About ${marker}.` });
  const reply = await sendMail(installation.ready().smtp, {
    from: "a@localhost",
    to: [to],
    octets,
  });
  return /kept as ([0-9a-f]{32})/.exec(reply ?? "")?.[1] ?? assert.fail(reply ?? "broken");
}

async function asOwner(work: (imap: ImapFlow) => Promise<void>): Promise<void> {
  const { imap, ca } = installation.ready();
  const { address: user, password: pass } = owner();
  const tls = { ca: readFileSync(ca), servername: "localhost" };
  const client = new ImapFlow({
    ...{ host: imap.host, port: imap.port, secure: true, tls, auth: { user, pass }, logger: false },
  });
  await client.connect();
  try {
    await client.mailboxOpen("INBOX");
    await work(client);
  } finally {
    await client.logout();
  }
}

async function uidOf(imap: ImapFlow, marker: string): Promise<number> {
  const found = await imap.search({ header: { "Message-ID": `<${marker}>` } }, { uid: true });
  return (found || [])[0] ?? assert.fail(`${marker} is not in this mailbox`);
}

async function ok(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await installation.cli(...args);
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  return stdout;
}

const file = (name: string): string => join(evidence, name);
const withKeys = ["--log-keys", file("keys.json")];

async function prove(id: string, ...more: string[]) {
  await ok("witness", "prove", id, "--to", file(`${id}.json`));
  return verify(["proof", file(`${id}.json`), ...withKeys, ...more]);
}

describe("the witness of a running installation", () => {
  const ids = new Map<string, string>();
  const idOf = (marker: string): string => ids.get(marker) ?? assert.fail(marker);

  before(async () => {
    for (const marker of ["kept@x", "moved@x", "deleted@x", "erased@x"]) {
      ids.set(marker, await send(marker));
    }
    await asOwner(async (imap) => {
      const source = async (marker: string): Promise<Buffer> => {
        const uid = String(await uidOf(imap, marker));
        const message = await imap.fetchOne(uid, { source: true }, { uid: true });
        return (message && message.source) || assert.fail(marker);
      };
      for (const marker of ids.keys()) writeFileSync(file(`${marker}.eml`), await source(marker));
      await imap.messageMove(String(await uidOf(imap, "moved@x")), "Archive", { uid: true });
      await imap.messageDelete(String(await uidOf(imap, "deleted@x")), { uid: true });
      await imap.messageDelete(String(await uidOf(imap, "erased@x")), { uid: true });
    });
    const reading = ["--account", owner().address, "--reason", "case 2026-17"];
    await ok("message", "read", idOf("kept@x"), ...reading);
    await ok("witness", "head", "--to", file("head.note"));
    await ok("witness", "keys", "--to", file("keys.json"));
  });

  test("CAP-107 shows since when a message exists, and that it was not changed", async () => {
    const ran = await prove(idOf("kept@x"), "--message", file("kept@x.eml"));
    holds(
      ran,
      /was accepted at \d{4}-\d\d-\d\dT\S+Z, for \S+, mailbox \d+, UID \d+\./,
      /kept@x\.eml is that message, octet for octet: it was not changed since\./,
      /So the message exists since \S+Z by the log's clock, and at the latest since \S+Z/,
      /No record of this proof deletes these copies: /,
      /read-by-other .*"by":"command line/,
    );
    assert.ok(!ran.out.includes("Beware"));
  });

  test("CAP-107 shows that a message is not older than it says, by a head of another day", async () => {
    const [heads = ""] = readdirSync(join(data, "hub/heads")).map((id) =>
      join(data, "hub/heads", id),
    );
    const today = readdirSync(heads).find((name) => name.endsWith(".note")) ?? "";
    renameSync(join(heads, today), join(heads, "2026-01-05.note"));
    holds(
      await prove(await send("today@x")),
      /It was not there yet when the witness saw the ledger at \S+Z\./,
    );
  });

  test("CAP-107 shows a move and a deletion, when and by whom", async () => {
    holds(
      await prove(idOf("moved@x"), "--message", file("moved@x.eml")),
      /was moved to \S+, mailbox \d+, UID \d+ at \S+Z by the owner of \S+\./,
      /No record of this proof deletes these copies: \S+, mailbox \d+, UID \d+\./,
    );
    holds(
      await prove(idOf("deleted@x"), "--message", file("deleted@x.eml")),
      /was deleted at \S+Z by the owner of \S+\./,
      /All copies that these records tell of are gone; the last was deleted at/,
    );
  });

  test("CAP-107 refuses a message of which one octet is another", async () => {
    const octets = readFileSync(file("kept@x.eml"));
    const at = octets.indexOf("About");
    octets[at] = (octets[at] ?? 0) ^ 1;
    writeFileSync(file("changed.eml"), octets);
    refused(
      await prove(idOf("kept@x"), "--message", file("changed.eml")),
      /changed\.eml is not that message, or was changed since/,
    );
    refused(
      await prove(idOf("kept@x"), "--message", file("moved@x.eml")),
      /is not that message, or was changed since/,
    );
  });

  test("CAP-107 still shows that an erased message existed and was deleted, not what it said", async () => {
    holds(await prove(idOf("erased@x"), "--message", file("erased@x.eml")));
    await ok("store", "erase");
    const ran = await prove(idOf("erased@x"));
    holds(ran, /What the message said is not shown/, /was deleted at \S+Z by the owner/);
    const proof = readFileSync(file(`${idOf("erased@x")}.json`), "utf8");
    assert.equal(JSON.parse(proof).message, undefined);
    refused(
      await prove(idOf("erased@x"), "--message", file("erased@x.eml")),
      /cannot be shown any more/,
    );
    holds(await prove(idOf("kept@x"), "--message", file("kept@x.eml")));
  });

  test("CAP-107 is checked by another Node as well, without ML-DSA-65 if need be", async (t) => {
    const node = otherNode();
    if (node === undefined) return t.skip("needs a Node from 20 on in /usr/bin");
    await prove(idOf("kept@x"));
    const args = ["proof", file(`${idOf("kept@x")}.json`), ...withKeys, "--classical"];
    holds(verify([...args, "--message", file("kept@x.eml")], node), /it was not changed since/);
    refused(verify([...args, "--message", file("changed.eml")], node), /was changed since/);
  });

  test("CAP-107 knows no message that is not there", async () => {
    assert.equal((await installation.cli("witness", "prove", "0".repeat(32))).code, 66);
  });
});
