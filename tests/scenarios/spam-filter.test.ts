/** Real rspamd and real SpamAssassin, asked as a program of ours asks them. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { systemNet } from "#base/net";
import { formatDate } from "#formats/date";
import {
  askSpamFilter,
  type SpamAnswer,
  type SpamFilter,
  type SpamMail,
} from "#transport/spam-filter";
import { type Daemon, noRspamd, startRspamd } from "../kit/rspamd.ts";
import { noSpamd, type Spamd, startSpamd } from "../kit/spamd.ts";

/** The line that every spam filter takes for spam, so that it can be tried. */
const gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";

function mailOf(text: string, more: Partial<SpamMail> = {}): SpamMail {
  const header =
    "From: Ann Example <ann@example.org>\r\nTo: Bea Example <bea@example.com>\r\n" +
    `Subject: Lunch on Thursday\r\nDate: ${formatDate(Date.now())}\r\n` +
    "Message-ID: <20260105.4f1c8a77.lunch@example.org>\r\n" +
    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n";
  // In two pieces, as it comes from a connection.
  const octets = [Buffer.from(header), Buffer.from(`${text}\r\n`)];
  return {
    octets,
    sizeBytes: octets.reduce((sum, piece) => sum + piece.length, 0),
    // SpamAssassin takes the IPv4 addresses of examples for forged.
    clientAddress: "2001:db8::25",
    clientName: "mx.example.org",
    helo: "helo.example.org",
    mailFrom: "bounces@example.org",
    recipients: ["bea@example.com"],
    queueId: "5f2e77aa01",
    receivedBy: "mail.example.com",
    ...more,
  };
}

const plain = "Hello Bea,\r\n\r\nshall we meet for lunch on Thursday at noon?\r\n\r\nAnn";
const evil = "x\r\nUser: root\r\n\r\n\0<>\"'();\\ \x85ü\u2028";
const hostile: Partial<SpamMail> = {
  clientName: evil,
  helo: evil,
  mailFrom: `${evil}@example.org`,
  recipients: Array.from({ length: 2000 }, (_, n) => `${"r".repeat(240)}${n}@example.com`),
  queueId: evil,
  authenticated: evil,
};

function ask(
  kind: SpamFilter["kind"],
  endpoint: SpamFilter["endpoint"],
  mail: SpamMail,
): Promise<SpamAnswer> {
  const filter = { kind, endpoint, timeoutMs: 30_000, maxBytes: 600_000 };
  return askSpamFilter(filter, mail, { net: systemNet, clock: systemClock });
}

async function scored(
  ...asked: Parameters<typeof ask>
): Promise<Extract<SpamAnswer, { kind: "score" }>> {
  const answer = await ask(...asked);
  assert.ok(answer.kind === "score", JSON.stringify(answer));
  return answer;
}

const names = ({ symbols }: { readonly symbols: readonly { readonly name: string }[] }): string[] =>
  symbols.map(({ name }) => name);

describe("rspamd", { skip: noRspamd }, () => {
  /** Fires when the envelope arrived as it was told. */
  const lua = `
    rspamd_config:register_symbol{name = "TEST_ENVELOPE", score = 0.1, callback = function(task)
      local ip, from, to = task:get_from_ip(), task:get_from("smtp"), task:get_recipients("smtp")
      return ip:to_string() == "2001:db8::25" and task:get_helo() == "helo.example.org"
        and task:get_hostname() == "mx.example.org" and task:get_queue_id() == "5f2e77aa01"
        and from[1].addr == "bounces@example.org" and #to == 2
        and to[2].addr == "cem@example.com" and task:get_user() == "ann"
    end}`;
  let rspamd: Daemon;
  const at = (): SpamFilter["endpoint"] => ({ host: "127.0.0.1", port: rspamd.port });
  before(async () => {
    rspamd = await startRspamd(lua);
  });
  after(() => rspamd[Symbol.asyncDispose]());

  test("takes the test line for spam", async () => {
    const answer = await scored("rspamd", at(), mailOf(gtube));
    assert.ok(answer.score >= answer.required, JSON.stringify(answer));
    assert.equal(answer.action, "reject");
    assert.deepEqual(names(answer), ["GTUBE"]);
  });

  test("takes a plain message for none", async () => {
    const answer = await scored("rspamd", at(), mailOf(plain));
    assert.equal(answer.required, 15);
    assert.ok(answer.score < 5, JSON.stringify(answer));
    assert.equal(answer.action, "no action");
    assert.ok(answer.symbols.every(({ score }) => score !== undefined));
    assert.ok(!names(answer).includes("TEST_ENVELOPE"));
  });

  test("learns the envelope", async () => {
    const recipients = ["bea@example.com", "cem@example.com"];
    const answer = await scored(
      "rspamd",
      at(),
      mailOf(plain, { recipients, authenticated: "ann" }),
    );
    assert.ok(names(answer).includes("TEST_ENVELOPE"), JSON.stringify(answer));
  });

  test("answers on a null path, and on a large message with a hostile envelope", async () => {
    await scored("rspamd", at(), mailOf(plain, { mailFrom: "", helo: "" }));
    const large = mailOf(`${plain}\r\n`.repeat(8000), hostile);
    const answer = await scored("rspamd", at(), large);
    assert.ok(large.sizeBytes > 500_000 && answer.score < answer.required, JSON.stringify(answer));
    const spam = await scored("rspamd", at(), mailOf(gtube, hostile));
    assert.ok(spam.score >= spam.required, JSON.stringify(spam));
  });

  test("is away when it stopped", async () => {
    await rspamd[Symbol.asyncDispose]();
    const answer = await ask("rspamd", at(), mailOf(gtube));
    assert.deepEqual(answer, { kind: "unavailable", why: "no-connection" });
  });
});

describe("SpamAssassin", { skip: noSpamd }, () => {
  /** Fire when the trace fields were read as they were meant. */
  const rules = [
    "header TEST_ENVELOPE EnvelopeFrom =~ /^bounces\\@example\\.org$/",
    "header TEST_CLIENT X-Spam-Relays-External =~ /^\\[ ip=2001:db8::25 rdns=mx\\.example\\.org helo=helo\\.example\\.org by=mail\\.example\\.com /",
    "header TEST_LOGIN X-Spam-Relays-Trusted =~ /^[^\\]]+ auth=ESMTPA /",
    "score TEST_ENVELOPE 0.01",
    "score TEST_CLIENT 0.01",
    "score TEST_LOGIN 0.01",
  ];
  let spamd: Spamd;
  const at = (): SpamFilter["endpoint"] => ({ host: "127.0.0.1", port: spamd.port });
  before(async () => {
    spamd = await startSpamd(rules.join("\n"));
  });
  after(() => spamd[Symbol.asyncDispose]());

  test("takes the test line for spam", async () => {
    const answer = await scored("spamassassin", at(), mailOf(gtube));
    assert.ok(answer.score >= 1000, JSON.stringify(answer));
    assert.equal(answer.required, 5);
    assert.ok(names(answer).includes("GTUBE"));
  });

  test("takes a plain message for none, over its Unix socket too", async () => {
    for (const endpoint of [at(), spamd.socketPath]) {
      const answer = await scored("spamassassin", endpoint, mailOf(plain));
      assert.ok(answer.score < 2, JSON.stringify(answer));
      assert.equal(answer.action, undefined);
    }
  });

  test("reads the envelope from the trace fields", async () => {
    const answer = await scored("spamassassin", at(), mailOf(plain));
    for (const rule of ["TEST_ENVELOPE", "TEST_CLIENT"]) {
      assert.ok(names(answer).includes(rule), `${rule}: ${JSON.stringify(answer)}`);
    }
    const login = await scored("spamassassin", at(), mailOf(plain, { authenticated: "ann" }));
    assert.ok(!names(answer).includes("TEST_LOGIN"));
    assert.ok(names(login).includes("TEST_LOGIN"), JSON.stringify(login));
  });

  test("answers on a null path, and on a large message with a hostile envelope", async () => {
    await scored("spamassassin", at(), mailOf(plain, { mailFrom: "", helo: "" }));
    const large = mailOf(`${plain}\r\n`.repeat(8000), hostile);
    const answer = await scored("spamassassin", at(), large);
    assert.ok(large.sizeBytes > 500_000 && answer.score < answer.required, JSON.stringify(answer));
    const spam = await scored("spamassassin", at(), mailOf(gtube, hostile));
    assert.ok(spam.score >= spam.required, JSON.stringify(spam));
  });

  test("is not asked in rspamd's protocol", async () => {
    const answer = await ask("rspamd", at(), mailOf(gtube));
    assert.equal(answer.kind, "unavailable", JSON.stringify(answer));
  });

  test("is away when it stopped", async () => {
    await spamd[Symbol.asyncDispose]();
    for (const endpoint of [at(), spamd.socketPath]) {
      const answer = await ask("spamassassin", endpoint, mailOf(gtube));
      assert.deepEqual(answer, { kind: "unavailable", why: "no-connection" });
    }
  });
});
