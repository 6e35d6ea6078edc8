import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { last, mail, startImap } from "./fixture.test.ts";

describe("what others change", () => {
  test("reaches an idle client within milliseconds", async () => {
    await using imap = await startImap();
    const idler = await imap.login();
    await idler.command("SELECT INBOX");
    idler.send("i IDLE\r\n");
    await idler.until(/^\+ /);
    const other = await imap.login();
    const startMs = performance.now();
    const told = idler.until(/\* 1 EXISTS\r\n/);
    await other.append("INBOX", mail("new"));
    await told;
    assert.ok(performance.now() - startMs < 500);
    await other.command("SELECT INBOX");
    await other.command("STORE 1 +FLAGS (\\Seen \\Deleted)");
    assert.match(await idler.until(/FETCH/), /\* 1 FETCH \(UID 1 FLAGS \([^)]*\\Deleted/);
    await other.command("EXPUNGE");
    await idler.until(/\* 1 EXPUNGE\r\n/);
    idler.send("DONE\r\n");
    assert.match(last(await idler.completion("i")), /^OK/);
  });

  test("EXPUNGE waits while sequence numbers are in use (RFC 9051 §7.5.1)", async () => {
    await using imap = await startImap();
    const one = await imap.login();
    for (const subject of ["1", "2", "3"]) await one.append("INBOX", mail(subject));
    await one.command("SELECT INBOX");
    const other = await imap.login();
    await other.command("SELECT INBOX");
    await other.command("STORE 2 +FLAGS \\Deleted");
    await other.command("EXPUNGE");
    const fetched = await one.command("FETCH 1:3 UID");
    assert.deepEqual(fetched.slice(0, 2), ["* 1 FETCH (UID 1)", "* 3 FETCH (UID 3)"]);
    assert.match(last(fetched), /^NO \[EXPUNGEISSUED\]/);
    assert.ok(!(await one.command("SEARCH ALL")).some((line) => line.includes("EXPUNGE")));
    const stored = await one.command("STORE 3 +FLAGS \\Seen");
    assert.match(stored[0] ?? "", /^\* 3 FETCH/);
    await other.append("INBOX", mail("4"));
    const noop = await one.command("NOOP");
    assert.equal(noop[0], "* 2 EXPUNGE");
    assert.equal(noop[1], "* 3 EXISTS");
    assert.deepEqual((await one.command("FETCH 1:* UID")).slice(0, 3), [
      "* 1 FETCH (UID 1)",
      "* 2 FETCH (UID 3)",
      "* 3 FETCH (UID 4)",
    ]);
  });

  test("a silent STORE is told to others, not to its own session", async () => {
    await using imap = await startImap();
    const one = await imap.login();
    await one.append("INBOX", mail("1"));
    await one.command("SELECT INBOX");
    const other = await imap.login();
    await other.command("SELECT INBOX");
    assert.equal((await one.command("STORE 1 +FLAGS.SILENT \\Flagged")).length, 1);
    assert.equal((await one.command("NOOP")).length, 1);
    assert.match((await other.command("NOOP"))[0] ?? "", /^\* 1 FETCH .*\\Flagged/);
  });

  test("\\Recent goes to one session only (RFC 3501 §2.3.2)", async () => {
    await using imap = await startImap();
    const one = await imap.login();
    await one.append("INBOX", mail("1"));
    assert.ok((await one.command("EXAMINE INBOX")).includes("* 1 RECENT"));
    assert.ok((await one.command("SELECT INBOX")).includes("* 1 RECENT"));
    const other = await imap.login();
    assert.ok((await other.command("SELECT INBOX")).includes("* 0 RECENT"));
    await other.command("ENABLE IMAP4rev2");
    assert.ok(!(await other.command("SELECT INBOX")).some((line) => line.includes("RECENT")));
  });

  test("a deleted mailbox ends the sessions that had it selected", async () => {
    await using imap = await startImap();
    const one = await imap.login();
    await one.command("CREATE Short");
    await one.command("SELECT Short");
    const other = await imap.login();
    await other.command("DELETE Short");
    one.send("x NOOP\r\n");
    assert.match(await one.untilClosed(), /BYE/);
  });
});

describe("CONDSTORE and QRESYNC (RFC 7162)", () => {
  test("a client that comes back hears what changed and what vanished", async () => {
    await using imap = await startImap();
    const one = await imap.login();
    for (const subject of ["1", "2", "3"]) await one.append("INBOX", mail(subject));
    const state = (await one.command("SELECT INBOX (CONDSTORE)")).join();
    const modSeq = /HIGHESTMODSEQ (\d+)/.exec(state)?.[1];
    const validity = /UIDVALIDITY (\d+)/.exec(state)?.[1];
    await one.command("UNSELECT");
    assert.match(last(await one.command(`SELECT INBOX (QRESYNC (${validity} ${modSeq}))`)), /^BAD/);
    const other = await imap.login();
    await other.command("SELECT INBOX");
    await other.command("STORE 1 +FLAGS \\Deleted");
    await other.command("STORE 3 +FLAGS \\Flagged");
    await other.command("EXPUNGE");
    await one.command("ENABLE QRESYNC");
    const back = await one.command(`SELECT INBOX (QRESYNC (${validity} ${modSeq}))`);
    assert.ok(back.includes("* VANISHED (EARLIER) 1"), back.join("\n"));
    assert.ok(back.some((line) => /^\* 2 FETCH \(UID 3 FLAGS .*MODSEQ/.test(line)));
    const changed = await one.command(`UID FETCH 1:* (FLAGS) (CHANGEDSINCE ${modSeq} VANISHED)`);
    assert.equal(changed.length, 3, changed.join("\n"));
    await other.command("STORE 1 +FLAGS \\Deleted");
    const gone = await other.command("EXPUNGE");
    assert.deepEqual(gone, ["* 1 EXPUNGE", "OK EXPUNGE completed"]);
    const news = await one.command("NOOP");
    assert.ok(news.includes("* VANISHED 2"), news.join("\n"));
  });
});
