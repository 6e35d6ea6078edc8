import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ImapFlow } from "imapflow";
import { last, mail, password, startImap } from "./fixture.test.ts";

const withAttachment = [
  'From: "Jörg" <joerg@example.net>',
  "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=",
  "Content-Type: multipart/mixed; boundary=x",
  "",
  "--x",
  "Content-Type: text/plain; charset=utf-8",
  "Content-Transfer-Encoding: quoted-printable",
  "",
  "H=C3=A4llo",
  "--x",
  "Content-Type: application/pdf",
  "Content-Transfer-Encoding: base64",
  "Content-Disposition: attachment; filename*=utf-8''%C3%BC.pdf",
  "",
  "AAECAw==",
  "--x--",
  "",
].join("\r\n");

function flow(port: number): ImapFlow {
  return new ImapFlow({
    host: "127.0.0.1",
    port,
    secure: true,
    auth: { user: "alice", pass: password },
    tls: { rejectUnauthorized: false },
    logger: false,
  });
}

describe("imapflow", () => {
  test("lists, appends, reads, searches, flags, moves and deletes", async () => {
    await using imap = await startImap();
    const client = flow(imap.port);
    await client.connect();
    const list = await client.list({ statusQuery: { messages: true } });
    const roles = list
      .map(({ specialUse }) => specialUse ?? "")
      .sort((one, other) => one.localeCompare(other));
    assert.deepEqual(roles, ["\\Archive", "\\Drafts", "\\Inbox", "\\Junk", "\\Sent", "\\Trash"]);
    await client.mailboxCreate("Entwürfe/Größe");
    await client.append("INBOX", Buffer.from(withAttachment), ["\\Flagged"], new Date(0));
    await client.append("INBOX", Buffer.from(mail("second", "x\r\n".repeat(1_000_000))));
    await client.mailboxOpen("INBOX");
    const first = await client.fetchOne("1", {
      uid: true,
      flags: true,
      envelope: true,
      bodyStructure: true,
      internalDate: true,
      headers: ["subject"],
    });
    assert.ok(first && first.envelope !== undefined);
    assert.equal(first.envelope.subject, "Grüße");
    assert.equal(first.envelope.from?.[0]?.name, "Jörg");
    assert.equal(new Date(first.internalDate ?? "").getTime(), 0);
    const attachment = first.bodyStructure?.childNodes?.[1];
    assert.equal(attachment?.dispositionParameters?.["filename"], "ü.pdf");
    const part = await client.download("1", "2");
    const chunks: Buffer[] = [];
    for await (const chunk of part.content ?? []) chunks.push(chunk as Buffer);
    assert.deepEqual(Buffer.concat(chunks), Buffer.from([0, 1, 2, 3]));
    let size = 0;
    const whole = await client.download("2");
    for await (const chunk of whole.content ?? []) size += (chunk as Buffer).length;
    assert.ok(size > 3_000_000);
    assert.deepEqual(await client.search({ subject: "grüße" }), [1]);
    assert.deepEqual(await client.search({ body: "hällo" }), [1]);
    await client.messageFlagsAdd("1", ["\\Seen"]);
    const copied = await client.messageCopy("1", "Entwürfe/Größe");
    assert.ok(copied !== false && copied.uidMap?.get(1) === 1);
    const moved = await client.messageMove("2", "Trash");
    assert.ok(moved !== false && moved.uidMap?.get(2) === 1);
    await client.messageDelete("1");
    const status = await client.status("Entwürfe/Größe", { messages: true, unseen: true });
    assert.ok(status !== false && status.messages === 1 && status.unseen === 0);
    await client.mailboxRename("Entwürfe/Größe", "Other");
    await client.mailboxDelete("Other");
    await client.logout();
  });

  test("hears of new mail while it idles", async () => {
    await using imap = await startImap();
    const client = flow(imap.port);
    await client.connect();
    await client.mailboxOpen("INBOX");
    const heard = new Promise<number>((resolve) => {
      client.on("exists", ({ count }: { count: number }) => resolve(count));
    });
    const idling = client.idle();
    const other = await imap.login();
    await new Promise((done) => void setTimeout(done, 50));
    await other.append("INBOX", mail("new"));
    assert.equal(await heard, 1);
    await client.noop();
    await idling;
    await client.logout();
  });
});

function run(
  program: string,
  args: readonly string[],
  cwd: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, HOME: cwd, TERM: "xterm" };
    execFile(program, args, { cwd, env, timeout: 15_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
      resolve({ code, stdout, stderr });
    }).stdin?.end();
  });
}

test("curl uploads, lists, searches and reads", {
  skip: !existsSync("/usr/bin/curl"),
}, async () => {
  await using imap = await startImap();
  const folder = mkdtempSync(join(tmpdir(), "postern-curl-"));
  try {
    const curl = (...args: string[]) =>
      run("/usr/bin/curl", ["-sSk", "--user", `alice:${password}`, ...args], folder);
    const url = `imaps://127.0.0.1:${imap.port}`;
    writeFileSync(join(folder, "m.eml"), mail("by curl"));
    assert.equal((await curl("-T", "m.eml", `${url}/INBOX`)).stderr, "");
    assert.match((await curl(url)).stdout, /\* LIST .*"INBOX"/);
    assert.match((await curl(`${url}/INBOX?SUBJECT%20curl`)).stdout, /\* SEARCH 1/);
    assert.equal((await curl(`${url}/INBOX/;UID=1`)).stdout, mail("by curl"));
    assert.match((await curl(`${url}/INBOX`, "-X", "STORE 1 +FLAGS \\Deleted")).stdout, /Deleted/);
    const wrong = await run("/usr/bin/curl", ["-sSk", "--user", "alice:no", url], folder);
    assert.equal(wrong.code, 67); // CURLE_LOGIN_DENIED
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("mutt reads a mailbox and files a message", {
  skip: !existsSync("/usr/bin/mutt"),
}, async () => {
  await using imap = await startImap();
  const folder = mkdtempSync(join(tmpdir(), "postern-mutt-"));
  try {
    const client = await imap.login();
    await client.append("INBOX", mail("for mutt", "Read me.\r\n"));
    const url = `imaps://127.0.0.1:${imap.port}/`;
    const settings = [
      `set folder="${url}" spoolfile="${url}INBOX" imap_user=alice imap_pass="${password}"`,
      "set ssl_verify_host=no ssl_verify_dates=no ssl_usesystemcerts=no header_cache= ssl_starttls=no",
      'set certificate_file="accepted" timeout=2 sleep_time=0 confirmappend=no delete=yes quit=yes',
      "set wait_key=no pipe_decode=yes",
      'push "<pipe-message>cat > got.txt<enter><save-message>=Archive<enter><quit>"',
    ];
    writeFileSync(join(folder, "muttrc"), `${settings.join("\n")}\n`);
    const certificate = await run(
      "/bin/sh",
      ["-c", `echo | openssl s_client -connect 127.0.0.1:${imap.port} 2>/dev/null | openssl x509`],
      folder,
    );
    writeFileSync(join(folder, "accepted"), certificate.stdout);
    // mutt wants a terminal: script(1) lends it one
    await run("/usr/bin/script", ["-qec", "mutt -F muttrc", "/dev/null"], folder);
    assert.match(
      readFileSync(join(folder, "got.txt"), "utf8"),
      /Subject: for mutt[\s\S]*Read me\./,
    );
    const [status] = await client.command("STATUS Archive (MESSAGES)");
    assert.equal(status, '* STATUS "Archive" (MESSAGES 1)');
    assert.match(last(await client.command("STATUS INBOX (MESSAGES)")), /^OK/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
