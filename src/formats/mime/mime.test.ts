import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import PostalMime from "postal-mime";
import { pick, seededRandom } from "#base/random";
import {
  bodyPartsOf,
  composeMessage,
  type Draft,
  decodeBody,
  describeMessage,
  htmlToText,
  textOf,
  walkParts,
} from "#formats/mime";

const crlf = (text: string): Buffer => Buffer.from(text.replace(/\n/g, "\r\n"));

const nested = crlf(`From: a@example.org
Subject: outer
Content-Type: multipart/mixed; boundary="out er"

preamble
--out er
Content-Type: text/plain

one

--out er\t
Content-Type: message/rfc822

Subject: inner
Content-Type: multipart/alternative; boundary=in

--in

plain
--in
Content-Type: text/html

<b>rich</b>
--in--
epilogue of the inner
--out er--
epilogue
`);

describe("describeMessage()", () => {
  test("numbers sections as IMAP does, into messages inside (RFC 9051 §6.4.5.1)", () => {
    const { root } = describeMessage(nested);
    const inner = root.parts[1]?.message?.root;
    assert.deepEqual(
      [root, ...root.parts, inner, ...(inner?.parts ?? [])].map((part) => [
        part?.section,
        `${part?.type}/${part?.subtype}`,
      ]),
      [
        ["", "multipart/mixed"],
        ["1", "text/plain"],
        ["2", "message/rfc822"],
        ["", "multipart/alternative"],
        ["2.1", "text/plain"],
        ["2.2", "text/html"],
      ],
    );
    assert.equal(root.parts[1]?.message?.envelope.subject, "inner");
  });

  test("gives exact octets and lines; the line break before a delimiter is not the body's", () => {
    const { root } = describeMessage(nested);
    const body = (part = root) => nested.subarray(part.bodyStart, part.bodyEnd).toString();
    assert.equal(body(root.parts[0]), "one\r\n");
    assert.equal(root.parts[0]?.lines, 1);
    assert.match(body(root.parts[1]), /^Subject: inner\r\n[^]*epilogue of the inner$/);
    assert.equal(root.parts[1]?.lines, 11);
    assert.equal(body(root.parts[1]?.message?.root.parts[1]), "<b>rich</b>");
  });

  test("takes text for a multipart without parts, and closes encoded messages", () => {
    const empty = describeMessage(crlf("Content-Type: multipart/mixed\n\nhello\n"));
    assert.deepEqual([empty.root.section, empty.root.type, empty.preview], ["1", "text", "hello"]);
    const closed = describeMessage(
      crlf("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nYQ==\n"),
    );
    assert.deepEqual([closed.root.type, closed.root.subtype], ["application", "octet-stream"]);
  });

  test("joins and decodes parameters (RFC 2231)", () => {
    const { root } = describeMessage(
      crlf(`Content-Type: application/x; name*1*=%C3%BC.txt; name*0*=utf-8''b
Content-Disposition: ATTACHMENT; filename="=?utf-8?B?w7w=?="

x`),
    );
    assert.deepEqual(root.parameters, [["name", "bü.txt"]]);
    assert.deepEqual(
      [root.disposition, root.dispositionParameters],
      ["attachment", [["filename", "ü"]]],
    );
  });

  test("previews the first readable words, of HTML without its tags", () => {
    const html =
      "<head><title>no</title></head><style>x{}</style><p>Hi&nbsp;&lt;you&gt;</p>\n<div>there";
    const { preview } = describeMessage(crlf(`Content-Type: text/html\n\n${html}`));
    assert.equal(preview, "Hi <you> there");
    const long = describeMessage(
      crlf(`Content-Type: text/plain; charset=utf-8\n\n${"äöü ".repeat(500)}`),
    );
    assert.ok(long.preview.length <= 256 && long.preview.length > 200);
  });

  test("tells attachments from images that the HTML shows", () => {
    const part = (extra: string) =>
      crlf(`Content-Type: multipart/related; boundary=b

--b
Content-Type: text/html

<img src=cid:x>
--b
Content-Type: image/png
${extra}

--b--
`);
    assert.equal(describeMessage(part("Content-ID: <x>")).hasAttachment, false);
    assert.equal(describeMessage(part("Content-Disposition: attachment")).hasAttachment, true);
  });

  const hostile: readonly (readonly [string, () => string])[] = [
    [
      "1,000 nested multiparts",
      () =>
        Array.from(
          { length: 1000 },
          (_, at) => `Content-Type: multipart/mixed; boundary=b${at}\n\n--b${at}\n`,
        ).join(""),
    ],
    [
      "1,000 nested messages",
      () => `${"Content-Type: message/rfc822\n\n".repeat(1000)}${"a\n".repeat(1e6)}`,
    ],
    ["20,000 parameters", () => `Content-Type: text/plain${"; a=b".repeat(20_000)}\n\nx`],
    [
      "20,000 continuations",
      () =>
        `Content-Type: text/plain${Array.from({ length: 20_000 }, (_, at) => `; a*${at}*=b`).join("")}\n\nx`,
    ],
    ["100,000 header fields", () => `${"To: a@b\n".repeat(100_000)}\nx`],
    [
      "500,000 parts",
      () => `Content-Type: multipart/mixed; boundary=x\n\n${"--x\n\na\n".repeat(500_000)}`,
    ],
    [
      "a million lines that look like delimiters",
      () => `Content-Type: multipart/mixed; boundary=x\n\n--x\n${"\n--".repeat(1e6)}`,
    ],
    [
      "a megabyte of open tags",
      () => `Content-Type: text/html\n\n${"<style><!--<a ".repeat(70_000)}`,
    ],
    ["half-open encoded words", () => `Subject: ${"=?a?q?".repeat(40_000)}\n\nx`],
    [
      "half-open comments",
      () => `From: ${"(".repeat(200_000)}\nContent-Type: text/${"(".repeat(50_000)}\n\nx`,
    ],
  ];
  for (const [what, make] of hostile) {
    test(`is quick on ${what}`, () => {
      const octets = Buffer.from(make());
      const start = performance.now();
      const { root } = describeMessage(octets);
      const tookMs = performance.now() - start;
      assert.ok(tookMs < 1500, `${tookMs} ms`);
      assert.ok([...walkParts(root)].length <= 1000);
    });
  }

  test("never throws, and keeps its offsets in order, on mutilated messages", () => {
    const random = seededRandom(1);
    for (let round = 0; round < 1500; round += 1) {
      const octets = Buffer.from(nested);
      for (let hits = 0; hits < 1 + (round % 12); hits += 1) {
        const at = pick(random, octets.length);
        if (round % 3 === 0) octets.copyWithin(at, pick(random, octets.length));
        else octets[at] = pick(random, 256);
      }
      const cut = octets.subarray(0, pick(random, octets.length + 1));
      const { root } = describeMessage(cut);
      for (const part of walkParts(root)) {
        assert.ok(part.headerStart <= part.bodyStart && part.bodyStart <= part.bodyEnd);
        assert.ok(part.bodyEnd <= cut.length);
        assert.equal(part.type === "multipart", part.parts.length > 0);
        textOf(cut, part);
      }
      bodyPartsOf(root);
    }
  });
});

describe("decodeBody()", () => {
  const cases: readonly (readonly [string, string, string, string])[] = [
    ["base64 over lines", "base64", "aGVs\r\nbG8=\r\n", "hello"],
    ["base64 with junk", "BASE64", "aG!V s*bG8", "hello"],
    ["base64 pieces one behind the other", "base64", "aGVsbG8=\r\nIHlvdQ==\r\n", "hello you"],
    ["quoted-printable", "quoted-printable", "a=3Db=\r\nc =20\r\n", "a=bc  \r\n"],
    ["white space at line ends", "quoted-printable", "a \t\r\nb", "a\r\nb"],
    ["wrong escapes as they stand", "quoted-printable", "=XY =3 =", "=XY =3 "],
    ["lower-case escapes", "quoted-printable", "=c3=bc", "ü"],
    ["an unknown encoding as it is", "x-uuencode", "a=3D", "a=3D"],
  ];
  for (const [what, encoding, from, to] of cases) {
    test(`reads ${what}`, () =>
      assert.equal(decodeBody(Buffer.from(from), encoding).toString(), to));
  }
});

test("htmlToText() hides what nobody reads and decodes entities once", () => {
  assert.equal(
    htmlToText("a&amp;lt;<script>b</script><!-- c -->&#x41;&#0;&unknown;"),
    "a&lt;A &unknown;",
  );
});

describe("composeMessage()", () => {
  const draft: Draft = {
    from: [{ name: "Ada, Countess", email: "ada@example.org" }],
    to: [{ name: "Zoë Ünal", email: "zoe@example.net" }],
    bcc: [{ name: null, email: "b@example.net" }],
    subject: "Grüße 🎉 ".repeat(12).trim(),
    text: "Hällo\n.dot\nFrom here\n--dashes\ntrailing \n" + "long ".repeat(300),
    html: "<p>Hällo</p>",
    attachments: [
      { name: "bild mit sehr langem Namen ü.png", type: "image/png", octets: Buffer.alloc(300, 7) },
      { name: null, type: "image/gif", octets: Buffer.from("gif"), contentId: "pic@x" },
    ],
    messageId: "<id@example.org>",
    references: Array.from({ length: 30 }, (_, at) => `<ref-${at}@example.org>`),
    dateMs: Date.UTC(2026, 0, 5, 10),
  };

  test("writes what a second parser reads back", async () => {
    const octets = composeMessage(draft);
    const read = await PostalMime.parse(octets);
    assert.equal(read.subject, draft.subject);
    assert.equal(read.from?.name, "Ada, Countess");
    assert.equal(read.to?.[0]?.name, "Zoë Ünal");
    assert.equal(read.text?.trimEnd(), draft.text.trimEnd());
    assert.equal(read.html?.trim(), draft.html);
    assert.deepEqual(
      read.attachments.map((one) => [
        one.filename,
        one.mimeType,
        (one.content as ArrayBuffer).byteLength,
      ]),
      [
        [null, "image/gif", 3],
        ["bild mit sehr langem Namen ü.png", "image/png", 300],
      ],
    );
  });

  test("reads back itself, arranged as related in alternative in mixed", () => {
    const octets = composeMessage(draft);
    const { root, envelope, references, hasAttachment } = describeMessage(octets);
    assert.deepEqual(
      [...walkParts(root)].map((part) => part.subtype),
      ["mixed", "alternative", "plain", "related", "html", "gif", "png"],
    );
    assert.equal(envelope.subject, draft.subject);
    assert.equal(envelope.sentAtMs, draft.dateMs);
    assert.equal(references.length, 30);
    assert.equal(hasAttachment, true);
    assert.equal(
      textOf(octets, bodyPartsOf(root).textBody[0] ?? root).trimEnd(),
      draft.text.trimEnd(),
    );
  });

  test("is ASCII with CRLF, lines of 78 at most, none that relays alter", () => {
    const lines = composeMessage(draft).toString("latin1").split("\r\n");
    for (const line of lines) {
      assert.match(line, /^[\t\x20-\x7e]{0,78}$/);
      assert.doesNotMatch(line, /^From |^\.|[ \t]$/);
    }
  });

  test("lets nobody slip in a field or a boundary", () => {
    const octets = composeMessage({
      ...draft,
      subject: "a\r\nBcc: eve@example.net",
      from: [{ name: 'x"\r\nX: y', email: "a@b.example>\r\nX: y" }],
      inReplyTo: ["<a\r\nX: y@b>"],
      attachments: [{ name: "a\r\nX: y", type: "text/x\r\nX: y", octets: Buffer.from("") }],
      further: [
        ["X-Ok", "v\r\nX: y"],
        ["Bad Name", "v"],
      ],
      text: "--=_0_idexampleorg\n",
    });
    assert.doesNotMatch(octets.toString(), /\r\n(X:|Bcc: eve|Bad)/);
    assert.equal(describeMessage(octets).root.parts.length, 2);
  });
});
