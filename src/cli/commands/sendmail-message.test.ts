import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { parseHeader } from "#formats/message";
import { readAuthor } from "#identity/author";
import { prepareMessage } from "./sendmail-message.ts";

const sender = { address: "ana@mail.example.org", hostname: "mail.example.org" };

function prepared(text: string, more: { fullName?: string; ignoresDots?: boolean } = {}) {
  const { ignoresDots = true, ...rest } = more;
  const { octets, recipients } = prepareMessage(
    Buffer.from(text),
    { ...sender, ...rest },
    ignoresDots,
  );
  return { text: octets.toString(), recipients };
}

describe("prepareMessage()", () => {
  test("makes every line end CRLF, and takes away what nobody else may see", () => {
    const { text } = prepared(
      "Return-Path: <x@y>\nFrom: a@b.test\nBcc: secret@c.test,\n other@c.test\nContent-Length: 3\n" +
        "To: d@e.test\r\nSubject: s\n\none\rtwo\nthree",
    );
    const head = "From: a@b.test\r\nTo: d@e.test\r\nSubject: s\r\n";
    assert.equal(text, `${head}\r\none\r\ntwo\r\nthree\r\n`);
  });

  test("adds the author where there is none", () => {
    assert.equal(
      prepared("Subject: s\n\nx").text,
      "From: <ana@mail.example.org>\r\nSubject: s\r\n\r\nx\r\n",
    );
    assert.match(
      prepared("\nx", { fullName: 'A "B" \\C' }).text,
      /^From: "A \\"B\\" \\\\C" <ana@mail\.example\.org>\r\n\r\nx\r\n$/,
    );
    const { text } = prepared("\nx", { fullName: "Björk\nBcc: eve@x.test" });
    assert.match(text, /^From: =\?utf-8\?[^\r]+\?= <ana@mail\.example\.org>\r\n\r\n/i);
    const author = readAuthor(parseHeader(Buffer.from(text)));
    assert.ok(author.kind === "one" && author.address === sender.address);
  });

  test("gives a name without a domain this machine's, as cron writes it", () => {
    const cron = prepared("From: root (Cron Daemon)\nTo: root\nSubject: Cron\n\nx\n");
    assert.equal(
      cron.text,
      'From: "Cron Daemon" <root@mail.example.org>\r\nTo: root\r\nSubject: Cron\r\n\r\nx\r\n',
    );
    assert.deepEqual(cron.recipients, ["root@mail.example.org"]);
    assert.match(prepared("From: Ö <a@b.test>\n\n").text, /^From: Ö <a@b\.test>\r\n/);
  });

  test("reads recipients of To, Cc and Bcc, or of their Resent- forms alone", () => {
    const fields = "To: Ana <a@x.test>, b\nCc: team: c@x.test;\nBcc: d@x.test\n";
    assert.deepEqual(prepared(`${fields}\nx`).recipients, [
      "a@x.test",
      "b@mail.example.org",
      "c@x.test",
      "d@x.test",
    ]);
    const resent = `Resent-To: e@x.test\nResent-Bcc: f@x.test\n${fields}`;
    const { text, recipients } = prepared(`${resent}\nx`);
    assert.deepEqual(recipients, ["e@x.test", "f@x.test"]);
    assert.ok(!text.includes("f@x.test") && !text.includes("d@x.test"));
  });

  test("ends at a single dot unless it was told not to", () => {
    const text = "Subject: s\n\none\n.\ntwo\n";
    assert.match(prepared(text, { ignoresDots: false }).text, /\r\n\r\none\r\n$/);
    assert.match(prepared(text).text, /\r\n\r\none\r\n\.\r\ntwo\r\n$/);
  });

  test("takes text without a header as body, and a mailbox line as nothing", () => {
    const own = "From: <ana@mail.example.org>\r\n";
    assert.equal(prepared("just text\nmore: text\n").text, `${own}\r\njust text\r\nmore: text\r\n`);
    assert.equal(
      prepared("From eve Mon Jan  5 10:00:00 2026\nSubject: s\n\nx\n").text,
      `${own}Subject: s\r\n\r\nx\r\n`,
    );
    assert.equal(prepared("").text, `${own}\r\n`);
  });

  test("leaves 8-bit octets as they are", () => {
    const octets = Buffer.from("Subject: \xe9\n\n\xff\xfe\n", "latin1");
    const { octets: sent } = prepareMessage(octets, sender, true);
    assert.ok(sent.toString("latin1").endsWith("Subject: \xe9\r\n\r\n\xff\xfe\r\n"));
  });
});
