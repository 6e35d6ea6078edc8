import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { after, before, describe, test } from "node:test";
import { ada, bob, type Fixture, type Json, openFixture } from "../../../tests/kit/jmap-door.ts";

const simple = `From: Eve Example <eve@example.net>
To: ada@example.org
Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=
Message-ID: <one@example.net>
Date: Mon, 5 Jan 2026 10:00:00 +0000
X-Note: a
 folded note

Hello Ada, the quick brown fox is here.
`;
const answer = simple
  .replace("<one@", "<two@")
  .replace("Subject: ", "References: <one@example.net>\nSubject: Re: ");
const rich = `From: bob@example.org
To: ada@example.org
Subject: pictures
Message-ID: <rich@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/html; charset=utf-8

<p>Find the <b>zebra</b> &amp; co
--b
Content-Type: application/pdf; name="a.pdf"
Content-Disposition: attachment; filename="a.pdf"
Content-Transfer-Encoding: base64

aGVsbG8gcGRm
--b--
`;

describe("JMAP mail", () => {
  let jmap: Fixture;
  const ids: Record<string, string> = {};
  const idsOf = (...names: string[]): string[] => names.map((name) => ids[name] ?? "").sort();
  let inbox = "";
  let drafts = "";
  let sent = "";
  before(async () => {
    jmap = await openFixture();
    ids["one"] = await jmap.deliver(simple, {
      verdicts: [
        { method: "spf", result: "pass", domain: "example.net", identity: "mailfrom", why: "" },
        {
          ...{ method: "sender", result: "verified-other", origin: "outside" },
          ...{ address: "eve@example.net", text: "From example.net via mailer.example." },
          evidence: [{ type: "first-contact", claimed: "eve@example.net", text: "New to you." }],
        },
        {
          ...{ method: "spam", result: "neutral", level: 5 },
          reasons: [{ points: 1, name: "bulk", text: "It is sent to many." }],
        },
      ],
    });
    ids["two"] = await jmap.deliver(answer);
    ids["rich"] = await jmap.deliver(rich);
    inbox = await jmap.mailbox("inbox");
    drafts = await jmap.mailbox("drafts");
    sent = await jmap.mailbox("sent");
  });
  after(() => jmap.close());

  test("Mailbox/get names roles, counts and rights (RFC 8621 §2)", async () => {
    const { list, state, notFound } = await jmap.one("Mailbox/get", { ids: null });
    assert.deepEqual(list.map((one: Json) => one.role).sort(), [
      "archive",
      "drafts",
      "inbox",
      "junk",
      "sent",
      "trash",
    ]);
    const box = list.find((one: Json) => one.role === "inbox");
    assert.deepEqual(
      [box.name, box.totalEmails, box.unreadEmails, box.totalThreads, box.unreadThreads],
      ["Inbox", 3, 3, 2, 2],
    );
    assert.match(state, /^\d+$/);
    assert.deepEqual(notFound, []);
    const missing = await jmap.one("Mailbox/get", { ids: ["nowhere"] });
    assert.deepEqual(missing["notFound"], ["nowhere"]);
  });

  test("Email/query pages, sorts, totals and collapses threads (§4.4)", async () => {
    const query = { filter: { inMailbox: inbox }, calculateTotal: true };
    const sort = [{ property: "subject", isAscending: true }];
    const all = await jmap.one("Email/query", { ...query, sort });
    assert.equal(all["total"], 3);
    assert.equal(all["ids"][2], ids["rich"]);
    const second = await jmap.one("Email/query", { ...query, sort, position: 1, limit: 1 });
    assert.deepEqual(second["ids"], [all["ids"][1]]);
    const anchored = await jmap.one("Email/query", {
      ...query,
      sort,
      anchor: ids["rich"],
      anchorOffset: -1,
      limit: 1,
    });
    assert.deepEqual([anchored["position"], anchored["ids"]], [1, [all["ids"][1]]]);
    const last = await jmap.one("Email/query", { ...query, sort, position: -1 });
    assert.deepEqual(last["ids"], [ids["rich"]]);
    const threads = await jmap.one("Email/query", { ...query, collapseThreads: true });
    assert.equal(threads["total"], 2);
    assert.equal((await jmap.one("Email/query", { anchor: "Mnone" }))["type"], "anchorNotFound");
    assert.equal(
      (await jmap.one("Email/query", { sort: [{ property: "colour" }] }))["type"],
      "unsupportedSort",
    );
    assert.equal(
      (await jmap.one("Email/query", { filter: { colour: "red" } }))["type"],
      "unsupportedFilter",
    );
  });

  const searches: readonly (readonly [string, object, readonly string[]])[] = [
    ["words of the text", { text: "fox quick" }, ["one", "two"]],
    ["accents aside", { subject: "gruße" }, ["one", "two"]],
    ["HTML without its tags", { body: "the zebra" }, ["rich"]],
    ["a sender", { from: "bob" }, ["rich"]],
    ["a phrase", { text: '"brown fox"' }, ["one", "two"]],
    ["a phrase that is not there", { text: '"fox brown"' }, []],
    ["a field", { header: ["X-Note", "FOLDED"] }, ["one", "two"]],
    ["an attachment", { hasAttachment: true }, ["rich"]],
    ["NOT", { operator: "NOT", conditions: [{ from: "eve" }] }, ["rich"]],
    ["OR", { operator: "OR", conditions: [{ from: "bob" }, { subject: "re" }] }, ["rich", "two"]],
    ["AND", { operator: "AND", conditions: [{ from: "eve" }, { subject: "re:" }] }, ["two"]],
    ["a size", { maxSize: 10 }, []],
    ["a keyword", { hasKeyword: "$flagged" }, []],
    ["an absent keyword", { notKeyword: "$flagged", from: "bob" }, ["rich"]],
    ["a time", { after: "2020-01-01T00:00:00Z", before: "2021-01-01T00:00:00Z" }, []],
  ];
  for (const [what, filter, found] of searches) {
    test(`Email/query finds ${what}`, async () => {
      const { ids: hits } = await jmap.one("Email/query", { filter });
      assert.deepEqual(hits.toSorted(), idsOf(...found));
    });
  }

  test("Email/get answers metadata, header forms and the sender's state (§4.1)", async () => {
    const { list } = await jmap.one("Email/get", {
      ids: [ids["one"]],
      properties: [
        "subject",
        "from",
        "messageId",
        "sentAt",
        "preview",
        "mailboxIds",
        "keywords",
        "header:X-Note:asText",
        "header:x-note",
        "header:From:asAddresses:all",
        "header:Nothing",
        "senderShown",
        "senderState",
        "senderText",
        "senderOrigin",
        "senderEvidence",
        "senderChecks",
        "spamLevel",
        "spamReasons",
        "hasAttachment",
        "size",
      ],
    });
    const email = list[0];
    assert.equal(email.subject, "Grüße");
    assert.deepEqual(email.from, [{ name: "Eve Example", email: "eve@example.net" }]);
    assert.deepEqual(email.messageId, ["one@example.net"]);
    assert.equal(email.sentAt, "2026-01-05T10:00:00Z");
    assert.equal(email.preview, "Hello Ada, the quick brown fox is here.");
    assert.deepEqual(email.mailboxIds, { [inbox]: true });
    assert.deepEqual(email.keywords, {});
    assert.equal(email["header:X-Note:asText"], "a folded note");
    assert.equal(email["header:x-note"], " a\r\n folded note");
    assert.deepEqual(email["header:From:asAddresses:all"], [
      [{ name: "Eve Example", email: "eve@example.net" }],
    ]);
    assert.equal(email["header:Nothing"], null);
    assert.equal(email.senderShown, "eve@example.net");
    assert.equal(email.senderState, "verified-other");
    assert.match(email.senderText, /example\.net/);
    assert.equal(email.senderOrigin, "outside");
    assert.deepEqual(
      email.senderEvidence.map((one: { type: string }) => one.type),
      ["first-contact"],
    );
    assert.deepEqual(email.senderChecks, [
      {
        ...{ method: "spf", result: "pass", judged: "example.net", why: "" },
        text: "spf=pass smtp.mailfrom=example.net",
      },
    ]);
    assert.equal(email.spamLevel, 5);
    assert.equal(email.spamReasons[0].name, "bulk");
    assert.equal(email.hasAttachment, false);
    assert.equal(
      (await jmap.one("Email/get", { ids: [], properties: ["header:From:asDate"] }))["type"],
      "invalidArguments",
    );
  });

  test("Email/get shows structure, bodies and values (§4.1.4)", async () => {
    const { list } = await jmap.one("Email/get", {
      ids: [ids["rich"]],
      properties: [
        "bodyStructure",
        "htmlBody",
        "textBody",
        "attachments",
        "bodyValues",
        "hasAttachment",
      ],
      fetchHTMLBodyValues: true,
      maxBodyValueBytes: 12,
    });
    const email = list[0];
    assert.equal(email.bodyStructure.type, "multipart/mixed");
    assert.equal(email.bodyStructure.subParts.length, 2);
    assert.deepEqual(
      email.htmlBody.map((one: Json) => one.partId),
      ["1"],
    );
    assert.deepEqual(
      email.textBody.map((one: Json) => one.partId),
      ["1"],
    );
    assert.deepEqual(
      email.attachments.map((one: Json) => [one.name, one.type, one.size, one.disposition]),
      [["a.pdf", "application/pdf", 9, "attachment"]],
    );
    assert.deepEqual(email.bodyValues, {
      1: { value: "<p>Find the ", isEncodingProblem: false, isTruncated: true },
    });
    assert.equal(email.hasAttachment, true);
    const blob = await jmap.jmap.download(ada, email.attachments[0].blobId);
    const chunks: Buffer[] = [];
    for await (const chunk of blob?.stream ?? []) chunks.push(chunk);
    assert.equal(Buffer.concat(chunks).toString(), "hello pdf");
    assert.equal(blob?.sizeBytes, 9);
  });

  test("a person sees neither another's messages nor their blobs", async () => {
    const foreign = await jmap.deliver(simple, { to: bob });
    const { notFound } = await jmap.one("Email/get", { ids: [foreign] });
    assert.deepEqual(notFound, [foreign]);
    assert.equal(await jmap.jmap.download(ada, foreign), undefined);
    const { notDestroyed } = await jmap.one("Email/set", { destroy: [foreign] });
    assert.equal(notDestroyed[foreign].type, "notFound");
    const other = await jmap.one("Email/get", { accountId: bob.id, ids: [foreign] });
    assert.equal(other["type"], "accountNotFound");
    const uploaded: Json = await jmap.jmap.upload(bob, "text/plain", [Buffer.from("secret")]);
    assert.equal(await jmap.jmap.download(ada, uploaded.blobId), undefined);
  });

  test("result references join calls into one request (RFC 8620 §3.7)", async () => {
    const answers = await jmap.call(
      ["Email/query", { filter: { from: "eve" } }],
      [
        "Email/get",
        { "#ids": { resultOf: "c0", name: "Email/query", path: "/ids" }, properties: ["threadId"] },
      ],
      ["Thread/get", { "#ids": { resultOf: "c1", name: "Email/get", path: "/list/*/threadId" } }],
      ["Thread/get", { "#ids": { resultOf: "c1", name: "Email/query", path: "/list" } }],
    );
    const thread = answers[2]?.[1]["list"];
    assert.equal(thread.length, 1);
    assert.deepEqual(thread[0].emailIds.toSorted(), idsOf("one", "two"));
    assert.deepEqual(
      [answers[3]?.[0], answers[3]?.[1]["type"]],
      ["error", "invalidResultReference"],
    );
  });

  test("Email/set changes keywords and mailboxes; Email/changes tells which (§4.6)", async () => {
    const { state } = await jmap.one("Email/get", { ids: [] });
    const archive = await jmap.mailbox("archive");
    const one = ids["one"] ?? "";
    const { updated, oldState, newState } = await jmap.one("Email/set", {
      update: {
        [one]: { "keywords/$seen": true, "keywords/work": true, mailboxIds: { [archive]: true } },
      },
    });
    assert.deepEqual(updated, { [one]: null });
    assert.notEqual(oldState, newState);
    const { list } = await jmap.one("Email/get", {
      ids: [one],
      properties: ["keywords", "mailboxIds"],
    });
    assert.deepEqual(list[0].keywords, { $seen: true, work: true });
    assert.deepEqual(list[0].mailboxIds, { [archive]: true });
    const changes = await jmap.one("Email/changes", { sinceState: state });
    assert.deepEqual(
      [changes["created"], changes["updated"], changes["destroyed"]],
      [[], [one], []],
    );
    assert.equal(changes["newState"], newState);
    const boxes = await jmap.one("Mailbox/changes", { sinceState: state });
    assert.deepEqual(boxes["updated"].toSorted(), [inbox, archive].sort());
    assert.ok(boxes["updatedProperties"].includes("unreadEmails"));
    await jmap.one("Email/set", { update: { [one]: { [`mailboxIds/${inbox}`]: true } } });
    const both = await jmap.one("Email/get", { ids: [one], properties: ["mailboxIds"] });
    assert.deepEqual(both["list"][0].mailboxIds, { [archive]: true, [inbox]: true });
    await jmap.one("Email/set", {
      update: { [one]: { [`mailboxIds/${archive}`]: null, keywords: {} } },
    });
    const back = await jmap.one("Email/get", {
      ids: [one],
      properties: ["mailboxIds", "keywords"],
    });
    assert.deepEqual(
      [back["list"][0].mailboxIds, back["list"][0].keywords],
      [{ [inbox]: true }, {}],
    );
  });

  const badPatches: readonly (readonly [string, object, string])[] = [
    ["no mailbox at all", { mailboxIds: {} }, "invalidProperties"],
    ["a mailbox that is not there", { mailboxIds: { nowhere: true } }, "invalidProperties"],
    ["a property that cannot change", { subject: "new" }, "invalidProperties"],
    ["a path within a replaced property", { keywords: {}, "keywords/a": true }, "invalidPatch"],
    ["a value that is neither true nor null", { "keywords/a": 1 }, "invalidPatch"],
    ["a keyword IMAP could not hold", { "keywords/a b": true }, "invalidProperties"],
  ];
  for (const [what, patch, type] of badPatches) {
    test(`Email/set refuses ${what}`, async () => {
      const one = ids["one"] ?? "";
      const { notUpdated } = await jmap.one("Email/set", { update: { [one]: patch } });
      assert.equal(notUpdated[one].type, type);
    });
  }

  test("states are honest: created, destroyed, unknown and foreign ones (RFC 8620 §5.2)", async () => {
    const { state } = await jmap.one("Email/get", { ids: [] });
    const kept = await jmap.deliver(simple.replace("<one@", "<kept@"));
    const gone = await jmap.deliver(simple.replace("<one@", "<gone@"));
    const { state: middle } = await jmap.one("Email/get", { ids: [] });
    await jmap.one("Email/set", { destroy: [gone, ids["two"]] });
    const since = await jmap.one("Email/changes", { sinceState: state });
    assert.deepEqual([since["created"], since["destroyed"]], [[kept], [ids["two"]]]);
    const later = await jmap.one("Email/changes", { sinceState: middle });
    assert.deepEqual(later["destroyed"].toSorted(), [gone, ids["two"] ?? ""].sort());
    const pages: string[] = [];
    let at = state;
    for (let more = true; more; ) {
      const page = await jmap.one("Email/changes", { sinceState: at, maxChanges: 1 });
      pages.push(...page["created"], ...page["destroyed"]);
      [at, more] = [page["newState"], page["hasMoreChanges"]];
    }
    assert.deepEqual(new Set(pages), new Set([kept, ids["two"]]));
    for (const sinceState of ["99999999", "x", "-1", "0"]) {
      const unknown = await jmap.one("Email/changes", { sinceState });
      assert.equal(unknown["type"], "cannotCalculateChanges", sinceState);
    }
    const mismatch = await jmap.one("Email/set", { ifInState: state, destroy: [kept] });
    assert.equal(mismatch["type"], "stateMismatch");
    const threads = await jmap.one("Thread/changes", { sinceState: state });
    assert.equal(threads["created"].length, 1);
  });

  test("Mailbox/set makes, renames, nests and removes (RFC 8621 §2.5)", async () => {
    const made = await jmap.one("Mailbox/set", {
      create: {
        a: { name: "Projects" },
        b: { name: "Postern", parentId: "#a" },
        c: { name: "x/y" },
      },
    });
    const { a, b } = made["created"];
    assert.equal(made["notCreated"].c.type, "invalidProperties");
    const { state, list } = await jmap.one("Mailbox/get", {
      ids: [b.id],
      properties: ["name", "parentId"],
    });
    assert.deepEqual(list[0], { id: b.id, name: "Postern", parentId: a.id });
    const child = await jmap.one("Mailbox/set", { destroy: [a.id] });
    assert.equal(child["notDestroyed"][a.id].type, "mailboxHasChild");
    await jmap.one("Mailbox/set", { update: { [b.id]: { name: "Gate", parentId: null } } });
    const renamed = await jmap.one("Mailbox/get", {
      ids: [b.id],
      properties: ["name", "parentId"],
    });
    assert.deepEqual([renamed["list"][0].name, renamed["list"][0].parentId], ["Gate", null]);
    const changes = await jmap.one("Mailbox/changes", { sinceState: state });
    assert.deepEqual([changes["updated"], changes["updatedProperties"]], [[b.id], null]);
    await jmap.one("Email/set", {
      update: { [ids["rich"] ?? ""]: { [`mailboxIds/${b.id}`]: true } },
    });
    const full = await jmap.one("Mailbox/set", { destroy: [b.id, inbox] });
    assert.equal(full["notDestroyed"][b.id].type, "mailboxHasEmail");
    const emptied = await jmap.one("Mailbox/set", { destroy: [b.id], onDestroyRemoveEmails: true });
    assert.deepEqual(emptied["destroyed"], [b.id]);
    const roles = await jmap.one("Mailbox/query", {
      filter: { hasAnyRole: true },
      sort: [{ property: "sortOrder" }],
    });
    assert.equal(roles["ids"][0], inbox);
    const kept = await jmap.one("Mailbox/set", { destroy: [drafts], onDestroyRemoveEmails: true });
    assert.equal(kept["notDestroyed"][drafts].type, "forbidden");
  });

  test("a draft is written, sent without its Bcc, and moved on success (§7.5)", async () => {
    const file: Json = await jmap.jmap.upload(ada, "image/png", [Buffer.from([1, 2, 3])]);
    const { list: identities } = await jmap.one("Identity/get", { ids: null });
    const answers = await jmap.call(
      [
        "Email/set",
        {
          create: {
            d: {
              mailboxIds: { [drafts]: true },
              keywords: { $draft: true, $seen: true },
              from: [{ name: "Ada", email: "ada@example.org" }],
              to: [{ name: "Zoë Ünal", email: "zoe@example.net" }],
              bcc: [{ email: "secret@example.com" }],
              subject: "Grüße – plan",
              inReplyTo: ["one@example.net"],
              references: ["one@example.net"],
              bodyValues: { t: { value: "Hällo\nline" }, h: { value: "<p>Hällo</p>" } },
              textBody: [{ partId: "t", type: "text/plain" }],
              htmlBody: [{ partId: "h", type: "text/html" }],
              attachments: [
                {
                  blobId: file.blobId,
                  type: "image/png",
                  name: "bild ü.png",
                  disposition: "attachment",
                },
              ],
            },
          },
        },
      ],
      [
        "EmailSubmission/set",
        {
          create: { s: { emailId: "#d", identityId: identities[0].id } },
          onSuccessUpdateEmail: {
            "#s": {
              [`mailboxIds/${drafts}`]: null,
              [`mailboxIds/${sent}`]: true,
              "keywords/$draft": null,
            },
          },
        },
      ],
    );
    assert.deepEqual(
      answers.map((one) => one[0]),
      ["Email/set", "EmailSubmission/set", "Email/set"],
    );
    const draft = answers[0]?.[1]["created"].d;
    assert.equal(answers[1]?.[1]["created"].s.undoStatus, "final");
    const submission = jmap.sent.at(-1);
    assert.deepEqual(
      submission?.envelope.recipients.map((one) => one.path),
      ["zoe@example.net", "secret@example.com"],
    );
    const octets = Buffer.concat(submission?.octets ?? []).toString("latin1");
    assert.doesNotMatch(octets, /secret@/);
    assert.match(octets, /^From: Ada <ada@example\.org>\r\n/);
    assert.equal(submission?.connection.authenticated, "ada@example.org");
    const { list } = await jmap.one("Email/get", {
      ids: [draft.id],
      properties: [
        "mailboxIds",
        "keywords",
        "subject",
        "to",
        "bcc",
        "bodyValues",
        "attachments",
        "inReplyTo",
      ],
      fetchTextBodyValues: true,
    });
    assert.deepEqual(list[0].mailboxIds, { [sent]: true });
    assert.deepEqual(list[0].keywords, { $seen: true });
    assert.equal(list[0].subject, "Grüße – plan");
    assert.deepEqual(list[0].to, [{ name: "Zoë Ünal", email: "zoe@example.net" }]);
    assert.deepEqual(list[0].bcc, [{ name: null, email: "secret@example.com" }]);
    assert.deepEqual(list[0].inReplyTo, ["one@example.net"]);
    const values: Json[] = Object.values(list[0].bodyValues);
    assert.deepEqual(
      values.map((one) => one.value),
      ["Hällo\nline"],
    );
    assert.deepEqual(
      list[0].attachments.map((one: Json) => [one.name, one.size]),
      [["bild ü.png", 3]],
    );
    const kept = await jmap.one("EmailSubmission/get", { ids: null });
    assert.equal(kept["list"].length, 1);
  });

  test("nobody sends as somebody else, and a refusal is told (§7.5)", async () => {
    const { list: identities } = await jmap.one("Identity/get", { ids: null });
    const make = (from: string) => ({
      mailboxIds: { [drafts]: true },
      from: [{ email: from }],
      to: [{ email: "zoe@example.net" }],
    });
    const send = async (emailId: string, envelope?: object) => {
      const create = {
        s: { emailId, identityId: identities[0].id, ...(envelope && { envelope }) },
      };
      return (await jmap.one("EmailSubmission/set", { create }))["notCreated"]?.s;
    };
    const { created } = await jmap.one("Email/set", {
      create: { f: make("bob@example.org"), o: make("ada@example.org") },
    });
    const count = jmap.sent.length;
    assert.equal((await send(created.f.id)).type, "forbiddenFrom");
    const asBob = { mailFrom: { email: "bob@example.org" }, rcptTo: [{ email: "a@b.example" }] };
    assert.equal((await send(created.o.id, asBob)).type, "forbiddenMailFrom");
    const nobody = { mailFrom: { email: "ada@example.org" }, rcptTo: [] };
    assert.equal((await send(created.o.id, nobody)).type, "noRecipients");
    const bad = { mailFrom: { email: "ada@example.org" }, rcptTo: [{ email: "a b@\r\n" }] };
    assert.equal((await send(created.o.id, bad)).type, "invalidRecipients");
    assert.equal((await send("Mnone")).type, "invalidProperties");
    const own = "From: ada@example.org\r\nTo: zoe@example.net\r\n";
    for (const line of [
      "X: a\rFrom: bob@example.org",
      "X: a\nFrom: q@example.org",
      "Fro\0m: x@y",
    ]) {
      // On the wire it would become a line of its own.
      const octets = [Buffer.from(`${own}${line}\r\n\r\nhello\r\n`)];
      const blob = await jmap.jmap.upload(ada, "message/rfc822", octets);
      const emails = { i: { ...blob, mailboxIds: { [drafts]: true } } };
      const imported = await jmap.one("Email/import", { emails });
      assert.equal((await send(imported.created.i.id)).type, "invalidEmail");
    }
    assert.equal(jmap.sent.length, count);
    jmap.reply = { code: 550, status: "5.7.1", text: "not today" };
    const refusal = await send(created.o.id);
    jmap.reply = { code: 250, text: "ok" };
    assert.deepEqual(
      [refusal.type, refusal.description],
      ["forbiddenToSend", "550 5.7.1 not today"],
    );
  });

  test("Email/import and Email/parse read uploads (§4.8, §4.9)", async () => {
    const blob: Json = await jmap.jmap.upload(ada, "message/rfc822", [Buffer.from(rich)]);
    const { parsed } = await jmap.one("Email/parse", {
      blobIds: [blob.blobId],
      properties: ["subject", "hasAttachment"],
    });
    assert.equal(parsed[blob.blobId].subject, "pictures");
    const { created, notCreated } = await jmap.one("Email/import", {
      emails: {
        i: {
          blobId: blob.blobId,
          mailboxIds: { [inbox]: true },
          keywords: { $flagged: true },
          receivedAt: "2020-02-02T02:02:02Z",
        },
        n: { blobId: "Unone", mailboxIds: { [inbox]: true } },
      },
    });
    assert.equal(created.i.size, rich.length);
    assert.equal(notCreated.n.type, "blobNotFound");
    const { list } = await jmap.one("Email/get", {
      ids: [created.i.id],
      properties: ["receivedAt", "keywords"],
    });
    assert.deepEqual(
      [list[0].receivedAt, list[0].keywords],
      ["2020-02-02T02:02:02Z", { $flagged: true }],
    );
    await jmap.one("Email/set", { destroy: [created.i.id] });
    const copy = await jmap.one("Email/copy", { fromAccountId: bob.id, create: {} });
    assert.equal(copy["type"], "fromAccountNotFound");
  });

  test("SearchSnippet/get marks hits and escapes the rest (§5)", async () => {
    const { list } = await jmap.one("SearchSnippet/get", {
      filter: { text: "zebra" },
      emailIds: [ids["rich"]],
    });
    assert.equal(list[0].subject, null);
    assert.match(list[0].preview, /Find the <mark>zebra<\/mark> &amp; co/);
  });

  test("changes are pushed as StateChange (RFC 8620 §7.1)", async () => {
    const seen: Json[] = [];
    const stop = jmap.jmap.changes(ada, (change) => seen.push(change));
    await jmap.deliver(simple.replace("<one@", "<pushed@"));
    stop();
    await jmap.deliver(simple.replace("<one@", "<silent@"));
    assert.equal(seen.length, 1);
    assert.equal(seen[0]["@type"], "StateChange");
    const { state } = await jmap.one("Email/get", { ids: [] });
    assert.ok(Number(seen[0].changed[ada.id].Email) < Number(state));
  });

  test("the session object names limits, accounts and addresses (RFC 8620 §2)", () => {
    const session: Json = jmap.jmap.session(ada, "https://mail.example.org/jmap");
    assert.equal(session.capabilities["urn:ietf:params:jmap:core"].maxCallsInRequest, 16);
    assert.equal(session.primaryAccounts["urn:ietf:params:jmap:mail"], ada.id);
    assert.equal(session.apiUrl, "https://mail.example.org/jmap/api");
    assert.match(session.downloadUrl, /\{accountId\}.*\{blobId\}.*\{name\}.*\{type\}/);
  });
});

describe("what JMAP tells of senders", () => {
  test("each check by itself, and all addresses where it is not clear who wrote", async () => {
    const jmap = await openFixture();
    const sender = { method: "sender", origin: "outside" } as const;
    const why = "There are 2 From fields.";
    const several = await jmap.deliver(simple, {
      verdicts: [
        {
          ...{ method: "sender-id", result: "fail", status: "not-permitted", class: "not-listed" },
          ...{ pra: "eve@example.net", praHeader: "From", domain: "example.net", why: "-all" },
        },
        {
          ...{ method: "dkim", result: "pass", domain: "list.example", selector: "s", mark: "ab" },
          ...{ identity: "@list.example", algorithm: "rsa-sha256", why: "" },
        },
        {
          ...{ method: "arc", result: "pass", sealers: ["b.example", "a.example"] },
          ...{ trusted: false, why: "" },
        },
        {
          ...{ ...sender, result: "not-verified", address: "", text: why },
          evidence: [{ type: "ambiguous-author", claimed: "a@x.example, b@y.example", text: why }],
        },
      ],
    });
    const nobody = await jmap.deliver(simple, {
      verdicts: [{ ...sender, result: "not-verified", address: "", text: "", evidence: [] }],
    });
    const own = await jmap.deliver(simple);
    const { list } = await jmap.one("Email/get", {
      ids: [several, nobody, own],
      properties: ["senderShown", "senderChecks", "header:Return-Path:asText:all"],
    });
    const shown = (id: string) => list.find((one: Json) => one.id === id);
    assert.equal(shown(several)["senderShown"], "a@x.example, b@y.example");
    assert.deepEqual(
      shown(several)["senderChecks"].map((one: Json) => [one.method, one.judged, one.why]),
      [
        ["sender-id", "eve@example.net", "-all"],
        ["dkim", "list.example", ""],
        ["arc", "b.example, a.example", ""],
      ],
    );
    assert.deepEqual(shown(several)["header:Return-Path:asText:all"], ["<eve@example.net>"]);
    assert.equal(shown(nobody)["senderShown"], "");
    assert.deepEqual([shown(own)["senderShown"], shown(own)["senderChecks"]], [null, []]);
    await jmap.close();
  });
});
