/** Catalogue rows against a whole installation, counted at the store: S1 smuggling, S8 open relay. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type FakeDns, startFakeDns } from "../kit/fake-dns.ts";
import { type Installation, startInstallation } from "../kit/installation.ts";
import { mailboxMarkers } from "../kit/mailbox-markers.ts";
import { Talk } from "../kit/talk.ts";

const folder = mkdtempSync(join(tmpdir(), "rows-"));
const secret = join(folder, "secret");
writeFileSync(secret, "a word of the partner\n", { mode: 0o600 });
let dns: FakeDns;
let installation: Installation;
let ours = "";

before(async () => {
  dns = await startFakeDns({});
  installation = await startInstallation({
    config: `[dns]
servers = ["127.0.0.1:${dns.endpoint.port}"]
[smtp]
maxErrors = 1000
[inbound.partner]
user = "partner"
secretFiles = ["${secret}"]
senderDomains = ["partner.example"]
`,
  });
  ours = installation.ready().accounts[0]?.address ?? "";
});

after(async () => {
  await installation?.[Symbol.asyncDispose]();
  await dns[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function greeted(): Promise<Talk> {
  const client = await Talk.open(installation.ready().smtp, undefined, 20_000);
  await client.reply();
  await client.ask("EHLO client.example");
  return client;
}

const known = JSON.parse(
  readFileSync(
    new URL("../conformance/smtp-smuggling/eod-sequences.json", import.meta.url),
    "utf8",
  ),
).inbound_end_of_data_sequences as string[];
const ends = ["\r\n", "\n", "\r", "\r\r\n", "\r\n\0", "\0"];
const generated = ends.flatMap((prefix) =>
  ends.flatMap((suffix) => [`${prefix}.${suffix}`, `${prefix}..${suffix}`]),
);
/** A true end with more behind it is an end; one with a stuffed dot is a line. */
const isHonest = (sequence: string): boolean => /^\r\n\.{1,2}\r\n/.test(sequence);

describe(`S1 smuggling, ${known.length} known and ${generated.length} generated ends of data, at the store`, () => {
  for (const how of ["DATA", "BDAT"] as const) {
    test(`S1 by ${how}: nothing but the one honest message is in the mailbox`, async (t) => {
      const count = async (): Promise<number> =>
        (await mailboxMarkers(installation.ready(), 0, () => true)).size;
      const before = await count();
      const sequences = [...known, ...generated].filter((one) => how === "BDAT" || !isHonest(one));
      let refused = 0;
      for (const [nth, sequence] of sequences.entries()) {
        if (how === "BDAT" && isHonest(sequence) && !sequence.includes("\0")) continue;
        using client = await greeted();
        await client.ask("MAIL FROM:<a@client.example>");
        await client.ask(`RCPT TO:<${ours}>`);
        const marker = (name: string): string =>
          `Message-ID: <${name}-${how}-${nth}@client.example>\r\n\r\n`;
        const content = Buffer.from(
          `${marker("first")}first${sequence}MAIL FROM:<boss@client.example>\r\nRCPT TO:<${ours}>\r\n` +
            `DATA\r\n${marker("smuggled")}second\r\n.\r\n`,
          "latin1",
        );
        if (how === "DATA") await client.ask("DATA");
        else client.send(`BDAT ${content.length} LAST\r\n`);
        client.send(content);
        assert.match(await client.rest(), /^550 5\.6\.0 /, JSON.stringify(sequence));
        refused += 1;
      }
      t.diagnostic(`${refused} refused by ${how}`);
      using client = await greeted();
      await client.ask("MAIL FROM:<a@client.example>");
      await client.ask(`RCPT TO:<${ours}>`);
      await client.ask("DATA");
      client.send(`Message-ID: <honest-${how}@client.example>\r\n\r\nx\r\n.\r\n`);
      assert.match(await client.reply(), /^250 /);
      assert.equal(await count(), before + 1);
    });
  }
});

describe("S8 open relay (24 address forms, anonymous and after a login that failed)", () => {
  const forms = [
    "x@other.example",
    "x@OTHER.Example",
    "x@other.example.",
    '"x"@other.example',
    '"x@other.example"',
    "x%other.example",
    "x%other.example@OURS",
    '"x@other.example"@OURS',
    '"x%other.example"@OURS',
    "x@other.example@OURS",
    "x@OURS@other.example",
    "@OURS:x@other.example",
    "@other.example:x@OURS",
    "@a.example,@OURS:x@other.example",
    "other.example!x",
    "other.example!x@OURS",
    "OURS!other.example!x",
    "x@[192.0.2.1]",
    "x@[127.0.0.1]",
    "x@[IPv6:::1]",
    "x@localhost",
    "x@HOST",
    "x@OURS.other.example",
    "postmaster@other.example",
  ];
  const written = (form: string): string =>
    form.replace("OURS", installation.ready().domain).replace("HOST", "mail.other.example");

  for (const who of ["anonymous", "after a login that failed"] as const) {
    for (const form of forms) {
      test(`S8 ${who}: ${form} is not relayed, whoever the sender claims to be`, async () => {
        using client = await greeted();
        if (who !== "anonymous") {
          await client.ask("STARTTLS");
          await client.secure();
          assert.match(await client.ask("EHLO client.example"), /AUTH [^\n]*PLAIN/);
          const wrong = Buffer.from("\0partner\0wrong").toString("base64");
          assert.match(await client.ask(`AUTH PLAIN ${wrong}`), /^(?:535|454) /);
        }
        for (const from of ["", ours, "x@client.example", "x@partner.example"]) {
          const sender = await client.ask(`MAIL FROM:<${from}>`);
          if (sender.startsWith("250")) {
            assert.match(await client.ask(`RCPT TO:<${written(form)}>`), /^5\d\d /);
            assert.match(await client.ask("DATA"), /^503 /);
          }
          await client.ask("RSET");
        }
      });
    }
  }

  test("S8 and nothing is queued", async () => {
    const { stdout } = await installation.cli("queue", "list");
    assert.match(stdout, /^(?:0 waiting|nothing|the queue is empty)/im);
  });
});
