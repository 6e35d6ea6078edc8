import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Client, last, mail, startImap } from "./fixture.test.ts";

const nested = [
  "Date: Mon, 2 Nov 2026 10:00:00 +0100",
  "From: =?utf-8?q?J=C3=B6rg?= <joerg@example.net>",
  "To: alice@example.org",
  "Subject: =?utf-8?b?R3LDvMOfZQ==?= from afar",
  "X-Trace: one",
  "X-Trace: two",
  'Content-Type: multipart/mixed; boundary="b"',
  "",
  "--b",
  "Content-Type: text/plain; charset=utf-8",
  "Content-Transfer-Encoding: quoted-printable",
  "",
  "Gr=C3=BC=C3=9Fe =",
  "again",
  "--b",
  "Content-Type: message/rfc822",
  "",
  "Subject: inner",
  'Content-Type: multipart/alternative; boundary="c"',
  "",
  "--c",
  "",
  "plain inside",
  "--c",
  "Content-Type: text/html",
  "",
  "<p>html inside</p>",
  "--c--",
  "--b",
  "Content-Type: application/octet-stream",
  "Content-Transfer-Encoding: base64",
  "",
  "AAEC",
  "--b--",
  "",
].join("\r\n");

async function selected(client: Client, messages: readonly string[]): Promise<void> {
  for (const message of messages) await client.append("INBOX", message);
  await client.command("SELECT INBOX");
}

/** The text of one item's literal. */
async function section(client: Client, item: string): Promise<string | undefined> {
  const text = (await client.command(`FETCH 1 ${item}`)).join("\r\n");
  const found = /~?\{(\d+)\}\r\n/.exec(text);
  if (found === null) return undefined;
  const start = found.index + found[0].length;
  return text.slice(start, start + Number(found[1]));
}

describe("FETCH", () => {
  test("finds every section of a nested message (RFC 9051 §6.4.5)", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    await selected(client, [nested]);
    const cases: readonly (readonly [string, string | undefined])[] = [
      ["BODY.PEEK[]", nested],
      ["RFC822", nested],
      ["BODY.PEEK[HEADER]", nested.slice(0, nested.indexOf("--b"))],
      ["BODY.PEEK[TEXT]", nested.slice(nested.indexOf("--b"))],
      ["BODY.PEEK[TEXT]<2.5>", "b\r\nCo"],
      ["BODY.PEEK[]<999999.5>", ""],
      [
        "BODY.PEEK[HEADER.FIELDS (x-trace to)]",
        "To: alice@example.org\r\nX-Trace: one\r\nX-Trace: two\r\n\r\n",
      ],
      ["BODY.PEEK[1]", "Gr=C3=BC=C3=9Fe =\r\nagain"],
      [
        "BODY.PEEK[1.MIME]",
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
      ],
      ["BODY.PEEK[2.HEADER.FIELDS (SUBJECT)]", "Subject: inner\r\n\r\n"],
      ["BODY.PEEK[2.1]", "plain inside"],
      ["BODY.PEEK[2.2]", "<p>html inside</p>"],
      ["BODY.PEEK[3]", "AAEC"],
      ["BINARY.PEEK[1]", Buffer.from("Grüße again").toString("latin1")],
      ["BINARY.PEEK[3]", "\0\x01\x02"],
      ["BODY.PEEK[4]", undefined],
      ["BODY.PEEK[1.1]", undefined],
      ["BODY.PEEK[1.TEXT]", undefined],
      ["BODY.PEEK[2.3]", undefined],
    ];
    for (const [item, expected] of cases) {
      assert.equal(await section(client, item), expected, item);
    }
    const without = await section(client, "BODY.PEEK[HEADER.FIELDS.NOT (X-Trace)]");
    assert.ok(without?.includes("Subject:") === true && !without.includes("X-Trace"));
    assert.match(
      (await client.command("FETCH 1 BINARY.SIZE[3]"))[0] ?? "",
      /BINARY\.SIZE\[3\] 3\)/,
    );
    assert.match((await client.command("FETCH 1 BODY.PEEK[4]"))[0] ?? "", /BODY\[4\] NIL\)/);
  });

  test("part 1 of a message without parts is its text", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    await selected(client, [mail("x", "only this\r\n")]);
    assert.equal(await section(client, "BODY.PEEK[1]"), "only this\r\n");
    assert.equal(await section(client, "BODY.PEEK[2]"), undefined);
  });

  test("gives envelope, structure, size, date, uid and flags", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    await client.append("INBOX", nested, '(\\Flagged Work) "02-Nov-2026 09:00:00 +0000" ');
    await client.command("EXAMINE INBOX");
    const [line = ""] = await client.command("FETCH 1 FULL");
    assert.ok(line.includes(`RFC822.SIZE ${Buffer.byteLength(nested)} `), line);
    assert.ok(line.includes('INTERNALDATE " 2-Nov-2026 09:00:00 +0000"'), line);
    assert.ok(line.includes('"=?UTF-8?B?R3LDvMOfZSBmcm9tIGFmYXI=?="'), line);
    assert.ok(line.includes('BODY (("TEXT" "PLAIN" '), line);
    assert.match(line, /FLAGS \([^)]*\\Flagged[^)]*Work|FLAGS \([^)]*Work[^)]*\\Flagged/);
    const more = (await client.command("UID FETCH 1 (EMAILID THREADID PREVIEW MODSEQ)")).join();
    assert.match(more, /UID 1 EMAILID \([A-Za-z0-9_-]+\) THREADID NIL PREVIEW .*MODSEQ \(\d+\)/);
  });

  test("BODY[] sets \\Seen and tells it, PEEK and EXAMINE do not", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    await selected(client, [mail("x")]);
    await client.command("FETCH 1 BODY.PEEK[]");
    const flags = async (): Promise<string> => (await client.command("FETCH 1 FLAGS"))[0] ?? "";
    assert.ok(!(await flags()).includes("\\Seen"));
    assert.ok((await client.command("FETCH 1 BODY[TEXT]")).join().includes("FLAGS (\\Seen"));
    assert.ok((await flags()).includes("\\Seen"));
    await client.command("STORE 1 -FLAGS.SILENT \\Seen");
    await client.command("EXAMINE INBOX");
    await client.command("FETCH 1 BODY[]");
    assert.ok(!(await flags()).includes("\\Seen"));
    assert.match(last(await client.command("STORE 1 +FLAGS \\Seen")), /^NO \[READ-ONLY\]/);
    assert.match(last(await client.command("EXPUNGE")), /^NO/);
  });

  test("streams a message of several MiB, byte for byte", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    const body = Array.from({ length: 150_000 }, (_, line) => `line ${line} of the body\r\n`).join(
      "",
    );
    const large = mail("large", body);
    await selected(client, [large]);
    assert.equal(await section(client, "BODY.PEEK[]"), large);
    assert.equal(await section(client, "BODY.PEEK[TEXT]<1000000.2000000>"), body.slice(1e6, 3e6));
  });

  test("refuses numbers that are not there, passes over such UIDs", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    await client.command("SELECT INBOX");
    assert.match(last(await client.command("FETCH 1:* FLAGS")), /^BAD/);
    assert.match(last(await client.command("UID FETCH 1:* FLAGS")), /^OK/);
    await selected(client, [mail("1"), mail("2")]);
    assert.match(last(await client.command("FETCH 3 FLAGS")), /^BAD/);
    assert.equal((await client.command("UID FETCH 77,999:* (UID)")).length, 2);
    assert.equal((await client.command("UID FETCH 77 (UID)")).length, 1);
    assert.equal((await client.command("FETCH *:1 (UID)")).length, 3);
  });
});

describe("STORE", () => {
  test("adds, removes, replaces; silent says nothing; system flags keep their spelling", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    await selected(client, [mail("1"), mail("2")]);
    const flagsOf = (line: string | undefined): string[] =>
      (/FLAGS \(([^)]*)\)/.exec(line ?? "")?.[1] ?? "").split(" ").sort();
    const added = await client.command("STORE 1:2 +FLAGS (\\seen $Label1)");
    assert.deepEqual(flagsOf(added[0]), ["$Label1", "\\Recent", "\\Seen"]);
    assert.equal(added.length, 3);
    assert.deepEqual(flagsOf((await client.command("STORE 1 -FLAGS $label1"))[0]), [
      "\\Recent",
      "\\Seen",
    ]);
    assert.equal((await client.command("UID STORE 2 FLAGS.SILENT ()")).length, 1);
    assert.deepEqual(flagsOf((await client.command("FETCH 2 FLAGS"))[0]), ["\\Recent"]);
  });

  test("UNCHANGEDSINCE leaves changed messages alone (RFC 7162 §3.1.3)", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    await selected(client, [mail("1"), mail("2")]);
    const [first = ""] = await client.command("FETCH 2 MODSEQ");
    const modSeq = Number(/MODSEQ \((\d+)\)/.exec(first)?.[1]);
    await client.command("STORE 2 +FLAGS \\Flagged");
    const lines = await client.command(`STORE 1:2 (UNCHANGEDSINCE ${modSeq}) +FLAGS \\Seen`);
    assert.match(last(lines), /^OK \[MODIFIED 2\]/);
    assert.match(lines[0] ?? "", /^\* 1 FETCH .*MODSEQ/);
  });
});

describe("SEARCH", () => {
  test("finds by every kind of key", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    await client.append("INBOX", nested, '(\\Seen Work) "02-Nov-2026 09:00:00 +0000" ');
    await client.append(
      "INBOX",
      mail("second", "needle in here\r\n"),
      '"05-Nov-2026 23:59:59 +0000" ',
    );
    await client.append("INBOX", mail("third"), '(\\Deleted) "06-Nov-2026 00:00:00 +0000" ');
    await client.command("SELECT INBOX");
    const gruesse = Buffer.from("grüße").toString("latin1");
    const cases: readonly (readonly [string, string])[] = [
      ["ALL", "1 2 3"],
      ["SEEN", "1"],
      ["UNSEEN", "2 3"],
      ["KEYWORD work", "1"],
      ["UNKEYWORD Work", "2 3"],
      ["DELETED", "3"],
      ["2:*", "2 3"],
      ["UID 1,3", "1 3"],
      ["NOT 2", "1 3"],
      ["OR SUBJECT second SUBJECT third", "2 3"],
      ["FROM ann", "2 3"],
      [`CHARSET UTF-8 SUBJECT "${gruesse}"`, "1"],
      [`BODY "${gruesse} AGAIN"`, "1"],
      [`FROM "j\xc3\xb6rg"`, "1"],
      ["BODY needle", "2"],
      ["TEXT afar", "1"],
      ['BODY "html inside"', "1"],
      ["BODY AAEC", ""],
      ["HEADER X-Trace two", "1"],
      ['HEADER X-Trace ""', "1"],
      ["HEADER Subject THIRD", "3"],
      ["ON 5-Nov-2026", "2"],
      ["SINCE 5-Nov-2026", "2 3"],
      ["BEFORE 6-Nov-2026", "1 2"],
      ["SENTON 2-Nov-2026", "1"],
      ["LARGER 400", "1"],
      ["SMALLER 400 UNDELETED", "2"],
      ["(SEEN KEYWORD Work) SENTSINCE 1-Nov-2026", "1"],
      ["RECENT", "1 2 3"],
      ["NEW", "2 3"],
      ["OLD", ""],
      ["TO nobody", ""],
    ];
    for (const [key, expected] of cases) {
      const [line] = await client.command(`SEARCH ${key}`);
      assert.equal(line, `* SEARCH${expected === "" ? "" : ` ${expected}`}`, key);
    }
    assert.match(last(await client.command("SEARCH CHARSET KOI8-R ALL")), /^NO \[BADCHARSET/);
    assert.match(last(await client.command("SEARCH 4")), /^BAD/);
  });

  test("answers in the extended form and saves the result (RFC 9051 §6.4.4.1)", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    await selected(client, [mail("1"), mail("2"), mail("3"), mail("4")]);
    await client.command("STORE 2 +FLAGS \\Deleted");
    client.send("x UID SEARCH RETURN (MIN MAX COUNT ALL) UNDELETED\r\n");
    const text = (await client.completion("x"))[0];
    assert.equal(text, '* ESEARCH (TAG "x") UID MIN 1 MAX 4 ALL 1,3:4 COUNT 3');
    assert.equal((await client.command("SEARCH RETURN (SAVE) UNDELETED")).length, 1);
    assert.equal((await client.command("FETCH $ UID")).length, 4);
    assert.deepEqual((await client.command("SEARCH RETURN () $ 3:4"))[0]?.slice(-8), " ALL 3:4");
    await client.command("ENABLE IMAP4rev2");
    assert.match((await client.command("SEARCH 1"))[0] ?? "", /^\* ESEARCH \(TAG ".*"\) ALL 1$/);
    const found = await client.command("SEARCH RETURN (COUNT) MODSEQ 1 ALL");
    assert.match(found[0] ?? "", /COUNT 4 MODSEQ \d+$/);
  });
});

describe("COPY, MOVE, EXPUNGE", () => {
  test("tell the new UIDs, and the old numbers go (RFC 4315, RFC 6851)", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    await selected(client, [mail("1"), mail("2"), mail("3"), mail("4")]);
    assert.match(last(await client.command("COPY 1:2 Archive")), /^OK \[COPYUID \d+ 1:2 1:2\]/);
    const moved = await client.command("UID MOVE 2,4 Archive");
    assert.match(moved[0] ?? "", /^\* OK \[COPYUID \d+ 2,4 3:4\]/);
    assert.deepEqual(moved.slice(1), ["* 2 EXPUNGE", "* 3 EXPUNGE", "OK MOVE completed"]);
    assert.match(last(await client.command("COPY 1 Nowhere")), /^NO \[TRYCREATE\]/);
    await client.command("STORE 1:2 +FLAGS.SILENT \\Deleted");
    assert.deepEqual(await client.command("UID EXPUNGE 3"), [
      "* 2 EXPUNGE",
      "OK EXPUNGE completed",
    ]);
    assert.deepEqual(await client.command("EXPUNGE"), ["* 1 EXPUNGE", "OK EXPUNGE completed"]);
    const [status] = await client.command("STATUS Archive (MESSAGES)");
    assert.equal(status, '* STATUS "Archive" (MESSAGES 4)');
  });

  test("CLOSE expunges in silence, UNSELECT and EXAMINE expunge nothing", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    await selected(client, [mail("1"), mail("2")]);
    await client.command("STORE 1 +FLAGS.SILENT \\Deleted");
    await client.command("UNSELECT");
    await client.command("EXAMINE INBOX");
    await client.command("CLOSE");
    assert.ok((await client.command("SELECT INBOX")).includes("* 2 EXISTS"));
    assert.equal((await client.command("CLOSE")).length, 1);
    assert.match(last(await client.command("CLOSE")), /^BAD/);
    assert.ok((await client.command("SELECT INBOX")).includes("* 1 EXISTS"));
  });
});
