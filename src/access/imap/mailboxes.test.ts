import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { last, mail, startImap } from "./fixture.test.ts";
import { matchesPattern, nameFromWire } from "./names.ts";

const names = (lines: readonly string[]): string[] =>
  lines.slice(0, -1).map((line) => /"\/" (.*)$/.exec(line)?.[1] ?? line);

describe("mailboxes", () => {
  test("are listed with their roles, INBOX first", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    const lines = await client.command('LIST "" "*"');
    assert.equal(lines[0], '* LIST (\\HasNoChildren) "/" "INBOX"');
    for (const role of ["Drafts", "Sent", "Archive", "Junk", "Trash"]) {
      assert.ok(
        lines.some((line) => line.includes(`(\\${role} `)),
        role,
      );
    }
    assert.deepEqual(await client.command('LIST "" ""'), [
      '* LIST (\\Noselect) "/" ""',
      "OK LIST completed",
    ]);
    assert.deepEqual(names(await client.command('LIST "" (inbox "Dra%") RETURN (CHILDREN)')), [
      '"INBOX"',
      '"Drafts"',
    ]);
  });

  test("are made, renamed, subscribed and deleted; names are UTF-7 until UTF-8 is enabled", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    assert.match(last(await client.command("CREATE Work/Entw&APw-rfe/")), /^OK \[MAILBOXID /);
    assert.match(last(await client.command("CREATE Work/Entw&APw-rfe")), /^NO \[ALREADYEXISTS\]/);
    assert.match(last(await client.command("CREATE inbox")), /^NO \[ALREADYEXISTS\]/);
    assert.match(
      last(await client.command("RENAME Work/Entw&APw-rfe Work/Neu&ImAtpg-")),
      /^NO|^OK/,
    );
    assert.match(last(await client.command("CREATE Work/Gr&APwA3w-e")), /^OK/);
    assert.ok(names(await client.command('LIST "Work/" "%"')).includes('"Work/Gr&APwA3w-e"'));
    await client.command("ENABLE UTF8=ACCEPT");
    const utf8 = names(await client.command('LIST "" "Work/*"'));
    assert.ok(utf8.includes(Buffer.from('"Work/Grüße"').toString("latin1")), String(utf8));
    const wire = Buffer.from('"Work/Grüße"').toString("latin1");
    assert.match(last(await client.command(`UNSUBSCRIBE ${wire}`)), /^OK/);
    assert.ok(!names(await client.command('LSUB "" *')).includes(wire));
    assert.match(last(await client.command(`DELETE ${wire}`)), /^OK/);
    assert.match(last(await client.command(`DELETE ${wire}`)), /^NO \[NONEXISTENT\]/);
    assert.match(last(await client.command("DELETE INBOX")), /^NO \[CANNOT\]/);
    assert.match(last(await client.command("SUBSCRIBE nothing")), /^NO/);
  });

  test("STATUS tells what it is asked, LIST with STATUS the same (RFC 5819)", async () => {
    await using imap = await startImap();
    const client = await imap.login();
    await client.append("INBOX", mail("one"), "(\\Seen \\Deleted) ");
    await client.append("INBOX", mail("two"));
    const size = mail("one").length + mail("two").length;
    const wanted = "(MESSAGES UIDNEXT UNSEEN DELETED SIZE RECENT)";
    const status = `* STATUS "INBOX" (MESSAGES 2 UIDNEXT 3 UNSEEN 1 DELETED 1 SIZE ${size} RECENT 2)`;
    assert.equal((await client.command(`STATUS inbox ${wanted}`))[0], status);
    const listed = await client.command(`LIST "" INBOX RETURN (SPECIAL-USE STATUS ${wanted})`);
    assert.equal(listed[1], status);
    assert.match(last(await client.command("STATUS none (MESSAGES)")), /^NO \[NONEXISTENT\]/);
  });

  test("I4: no name leads to a file, or into the account of somebody else", async () => {
    await using imap = await startImap();
    const alice = await imap.login();
    await alice.command("CREATE Secret");
    const bob = await imap.login("bob");
    const attempts = [
      "Secret",
      "../alice/Secret",
      "/alice/Secret",
      "alice/Secret",
      "user/alice/Secret",
      "~alice/Secret",
      "#shared/alice",
      "..",
      "INBOX/../../alice",
      "/etc/passwd",
    ];
    for (const name of attempts) {
      for (const command of ["SELECT", "STATUS", "SUBSCRIBE", "DELETE"]) {
        const items = command === "STATUS" ? " (MESSAGES)" : "";
        assert.match(last(await bob.command(`${command} "${name}"${items}`)), /^NO/, name);
      }
    }
    assert.equal(names(await bob.command('LIST "" "*"')).includes('"Secret"'), false);
    assert.equal(names(await bob.command('LIST "../" "*"')).length, 0);
    const mine = names(await alice.command('LIST "" "*"'));
    assert.equal(mine.filter((name) => name === '"Secret"').length, 1);
  });
});

test("matchesPattern() knows * and % (RFC 9051 §6.3.9)", () => {
  const cases = [
    ["a/b/c", "*", true],
    ["a/b/c", "%", false],
    ["a/b/c", "%/%/%", true],
    ["a/b/c", "a*c", true],
    ["a/b/c", "a%c", false],
    ["abc", "a%c", true],
    ["a/b", "a/%", true],
    ["a", "a/%", false],
    ["aab", "*ab", true],
    ["", "*", true],
    ["😀x", "😀%", true],
  ] as const;
  for (const [name, pattern, expected] of cases) {
    assert.equal(matchesPattern(name, pattern), expected, `${name} ${pattern}`);
  }
});

test("nameFromWire() gives each mailbox one spelling", () => {
  assert.equal(nameFromWire("iNbOx/Sub", false), "INBOX/Sub");
  assert.equal(nameFromWire("inboxes", false), "inboxes");
  assert.equal(nameFromWire("u\u0308", true), "ü");
  for (const bad of ["a\nb", "a\u2028b", "\ud800", "x".repeat(1001)]) {
    assert.equal(nameFromWire(bad, true), undefined);
  }
});
