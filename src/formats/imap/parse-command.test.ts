import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { parseAppendStart, parseCommand, tagOf } from "./parse-command.ts";
import { formatSet } from "./sequence.ts";

const raw = (line: string, literals: readonly string[] = []) => ({
  lines: line.split("\x01"),
  literals: literals.map((text) => Buffer.from(text)),
});

function parse(line: string, literals?: readonly string[]): Record<string, unknown> {
  const parsed = parseCommand(raw(`a ${line}`, literals));
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.fault);
  return { ...parsed.command };
}

const section = (path: number[], text = "", fields: string[] = []) => ({ path, text, fields });

describe("parseCommand()", () => {
  const good: readonly (readonly [string, Record<string, unknown>])[] = [
    ["noop", { name: "NOOP" }],
    ['LOGIN joe "pass \\"word\\\\"', { name: "LOGIN", user: "joe", password: 'pass "word\\' }],
    ["AUTHENTICATE plain =", { name: "AUTHENTICATE", mechanism: "PLAIN", initial: "=" }],
    ["ENABLE condstore x", { name: "ENABLE", capabilities: ["CONDSTORE", "X"] }],
    ["SELECT inbox", { name: "SELECT", mailbox: "inbox", condStore: false }],
    ["EXAMINE a (CONDSTORE)", { name: "EXAMINE", mailbox: "a", condStore: true }],
    [
      "SELECT a (QRESYNC (67890007 20050715194045000 41,43:211 (1:9 2:10)))",
      {
        name: "SELECT",
        mailbox: "a",
        condStore: true,
        resync: {
          uidValidity: 67890007,
          modSeq: Number.MAX_SAFE_INTEGER,
          knownUids: [
            { from: 41, to: 41 },
            { from: 43, to: 211 },
          ],
        },
      },
    ],
    ["STATUS a (MESSAGES unseen)", { name: "STATUS", mailbox: "a", items: ["MESSAGES", "UNSEEN"] }],
    ["UID EXPUNGE 3", { name: "EXPUNGE", set: [{ from: 3, to: 3 }] }],
    [
      "STORE 1:* -FLAGS.SILENT \\seen Work",
      {
        name: "STORE",
        uid: false,
        set: [{ from: 1, to: Number.POSITIVE_INFINITY }],
        mode: "remove",
        silent: true,
        flags: ["\\Seen", "Work"],
      },
    ],
    [
      "UID STORE $ (UNCHANGEDSINCE 12) FLAGS ()",
      {
        name: "STORE",
        uid: true,
        set: "$",
        mode: "replace",
        silent: false,
        flags: [],
        unchangedSince: 12,
      },
    ],
    ["UID MOVE 2 x]", { name: "MOVE", uid: true, set: [{ from: 2, to: 2 }], mailbox: "x]" }],
    ['ID ("name" "x" "v" NIL)', { name: "ID" }],
    ["ID NIL", { name: "ID" }],
    ['LSUB "" %', { name: "LSUB", reference: "", pattern: "%" }],
  ];
  for (const [line, expected] of good) {
    test(`reads ${line}`, () => assert.deepEqual(parse(line), expected));
  }

  test("reads literals where strings may stand", () => {
    assert.deepEqual(parse("LOGIN \x01 \x01", ["jo e", "pä"]), {
      name: "LOGIN",
      user: "jo e",
      password: "pä",
    });
  });

  test("reads LIST with selection, patterns and return options (RFC 5258 §3)", () => {
    assert.deepEqual(
      parse('LIST (SUBSCRIBED RECURSIVEMATCH) "" ("a%" *) RETURN (CHILDREN STATUS (SIZE))'),
      {
        name: "LIST",
        reference: "",
        patterns: ["a%", "*"],
        select: { subscribed: true, specialUse: false, recursive: true },
        give: { subscribed: false, children: true, status: ["SIZE"] },
      },
    );
  });

  const items: readonly (readonly [string, readonly unknown[]])[] = [
    ["FAST", ["FLAGS", "INTERNALDATE", "RFC822.SIZE"]],
    ["(UID BODY ENVELOPE)", ["UID", "BODY", "ENVELOPE"]],
    ["PREVIEW (LAZY)", ["PREVIEW"]],
    ["BODY[]", [["section", "BODY[]", section([]), undefined, true]]],
    [
      "BODY.PEEK[1.2.MIME]<0.10>",
      [["section", "BODY[1.2.MIME]", section([1, 2], "MIME"), { start: 0, count: 10 }, false]],
    ],
    [
      'body.peek[header.fields (From "X-Y")]',
      [
        [
          "section",
          "BODY[HEADER.FIELDS (FROM X-Y)]",
          section([], "HEADER.FIELDS", ["From", "X-Y"]),
          undefined,
          false,
        ],
      ],
    ],
    ["RFC822.HEADER", [["section", "RFC822.HEADER", section([], "HEADER"), undefined, false]]],
    ["BINARY.SIZE[2]", [["binary-size", "BINARY.SIZE[2]", section([2]), undefined, false]]],
  ];
  for (const [text, expected] of items) {
    test(`reads FETCH ${text}`, () => {
      const { items: found } = parse(`FETCH 1 ${text}`) as { items: Record<string, unknown>[] };
      const short = found.map((item) =>
        item["kind"] === "simple"
          ? item["name"]
          : [item["kind"], item["label"], item["section"], item["partial"], item["marksSeen"]],
      );
      assert.deepEqual(short, expected);
    });
  }

  test("reads nested search keys (RFC 9051 §6.4.4)", () => {
    const key = (
      parse(
        "UID SEARCH RETURN (MIN COUNT) CHARSET utf-8 OR (SEEN 1:3) NOT FROM x SINCE 1-Feb-1994",
      ) as { key: unknown }
    ).key;
    assert.deepEqual(key, {
      key: "and",
      of: [
        {
          key: "or",
          of: [
            {
              key: "and",
              of: [
                { key: "flag", flag: "\\Seen", present: true },
                { key: "set", set: [{ from: 1, to: 3 }], uid: false },
              ],
            },
            { key: "not", of: { key: "from", text: "x" } },
          ],
        },
        { key: "received", when: "since", dayMs: Date.UTC(1994, 1, 1) },
      ],
    });
  });

  const bad = [
    "",
    "FOO",
    "NOOP x",
    "LOGIN joe",
    'LOGIN joe "x',
    'LOGIN joe "a\\b"',
    'LOGIN joe "\xff"',
    "SELECT",
    "SELECT a b",
    "FETCH 0 UID",
    "FETCH 1:0 UID",
    "FETCH 4294967296 UID",
    "FETCH 1, UID",
    "FETCH 1 ()",
    "FETCH 1 BODY[MIME]",
    "FETCH 1 BODY[1.]",
    "FETCH 1 BODY[0]",
    "FETCH 1 BODY[HEADER.FIELDS ()]",
    "FETCH 1 BODY[]<0.0>",
    "FETCH 1 BINARY[HEADER]",
    "FETCH 1 (UID",
    "FETCH 1 UID (VANISHED)",
    "STORE 1 FLAGS (\\Recent)",
    "STORE 1 FLAGS (\\Foo)",
    "STORE 1 FLAG (\\Seen)",
    "SEARCH",
    "SEARCH FROM",
    "SEARCH SINCE 31-Feb-2020",
    "SEARCH (ALL",
    `SEARCH ${"(".repeat(33)}ALL${")".repeat(33)}`,
    `SEARCH ${"NOT ".repeat(40)}ALL`,
    'LIST (RECURSIVEMATCH) "" *',
    "APPEND x",
    "UID NOOP",
  ];
  for (const line of bad) {
    test(`refuses ${JSON.stringify(line.slice(0, 40))} (I2, I3)`, () => {
      assert.equal(parseCommand(raw(`a ${line}`)).ok, false);
    });
  }

  test("refuses NUL and broken UTF-8 in literals (I3)", () => {
    const broken = { lines: ["a SELECT ", ""], literals: [Buffer.from([0xc3, 0x28])] };
    assert.equal(parseCommand(broken).ok, false);
    assert.equal(parseCommand({ ...broken, literals: [Buffer.from("a\0b")] }).ok, false);
  });

  test("never throws on random commands, and takes little time", () => {
    const random = seededRandom(21);
    const words =
      '( ) [ ] < > " \\ { } , : . * % $ + - 0 1 99 NIL UID FETCH STORE SEARCH OR NOT ALL BODY BODY[ HEADER.FIELDS RETURN FLAGS LIST SELECT QRESYNC STATUS ID \x01 \xff'.split(
        " ",
      );
    for (let run = 0; run < 20_000; run += 1) {
      let line = "a ";
      for (let count = pick(random, 30); count > 0; count -= 1) {
        line += `${words[pick(random, words.length)]}${random.fraction() < 0.5 ? " " : ""}`;
      }
      const literals = line
        .split("\x01")
        .slice(1)
        .map(() => "lit");
      const parsed = parseCommand(raw(line, literals));
      assert.ok(parsed.ok || parsed.fault.length > 0);
      parseAppendStart(raw(line.replace("a ", "a APPEND "), literals));
    }
  });

  test("takes a set as long as a command may be", () => {
    const set = Array.from({ length: 10_000 }, (_, index) => index * 2 + 1).join(",");
    assert.equal((parse(`UID FETCH ${set} FLAGS`) as { set: unknown[] }).set.length, 10_000);
  });
});

describe("parseAppendStart()", () => {
  test("reads all that stands before the message", () => {
    const line = 'a APPEND "x y" (\\seen Work) "17-Jul-1996 02:44:25 -0700" ';
    assert.deepEqual(parseAppendStart({ lines: [line], literals: [] }), {
      ok: true,
      tag: "a",
      command: {
        name: "APPEND",
        mailbox: "x y",
        flags: ["\\Seen", "Work"],
        utf8: false,
        internalDate: "17-Jul-1996 02:44:25 -0700",
      },
    });
  });

  test("tells the mailbox's literal from the message's", () => {
    assert.equal(parseAppendStart({ lines: ["a APPEND "], literals: [] }), undefined);
    const second = parseAppendStart({ lines: ["a APPEND ", " "], literals: [Buffer.from("box")] });
    assert.ok(second?.ok === true && second.command.name === "APPEND");
    assert.equal(second.command.mailbox, "box");
    assert.equal(parseAppendStart({ lines: ["a LOGIN "], literals: [] }), undefined);
  });
});

test("tagOf() refuses what is no tag or too long (I3)", () => {
  assert.equal(tagOf("a.1 NOOP"), "a.1");
  for (const line of ["+ x", "(a x", '"a" x', `${"t".repeat(129)} x`, "", "\x00a", "a{ x"]) {
    assert.equal(tagOf(line), undefined);
  }
});

test("formatSet() joins neighbours", () => {
  assert.equal(formatSet([1, 2, 3, 5, 7, 8]), "1:3,5,7:8");
  assert.equal(formatSet([]), "");
});
