/** Postern before an existing mail server: recipients, delivery, and mail that leaves (docs/gateway.md). */

import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { authenticate } from "mailauth";
import { hasDovecotLmtp } from "../kit/dovecot.ts";
import { mayRunPostfix } from "../kit/postfix.ts";
import { hasSlapd } from "../kit/slapd.ts";
import { Talk } from "../kit/talk.ts";
import { type Stage, startStage, swaks, until } from "./gateway-stage.ts";

const mayRun = mayRunPostfix && hasSlapd && hasDovecotLmtp && existsSync("/usr/bin/swaks");

/** A line that begins with a dot, one beyond ASCII, one that is long, blanks at the end. */
const body = `first\n..two dots\n.\n${"x".repeat(200)}\nüber \n\tlast  \n\n`;

function message(subject: string, from = "eve@outside.test", to = "ana@mail.test"): string {
  // Postfix adds either field where it is missing.
  const both = `Date: Sun, 22 Nov 2026 10:00:00 +0000\nMessage-ID: <${subject.length}@odd.test>`;
  return `From: ${from}\nTo: ${to}\n${both}\nSubject: ${subject}\nX-Odd:  two  blanks \n\tfolded\n\n${body}`;
}

describe("a gateway before real servers", { skip: !mayRun }, () => {
  let at: Stage;
  before(async () => {
    at = await startStage();
  });
  after(() => at[Symbol.asyncDispose]());

  /** By the public door; the reply to each RCPT and to the end of the content. */
  const send = async (to: string, subject: string, from = "eve@outside.test"): Promise<string> => {
    const file = join(at.postern.data, "message.eml");
    writeFileSync(file, message(subject, from, to).slice(0, -1)); // swaks adds the last line end
    const { port } = at.postern.ready().smtp;
    const server = ["--server", "127.0.0.1", "--port", String(port)];
    return swaks(...server, "--from", from, "--to", to, "--data", `@${file}`, "--helo", "mx.test");
  };

  const arrivals = {
    "ana@mail.test": ["callout", () => at.postfix.delivered()],
    "bo@people.test": ["LDAP", () => at.postfix.delivered()],
    "ana@store.test": ["a list, by LMTP", () => at.dovecot.delivered("ana@store.test")],
  } as const;
  for (const [address, [how, delivered]] of Object.entries(arrivals)) {
    test(`${how}: mail for ${address} arrives octet for octet; nobody gets 550 in the session`, async () => {
      const subject = `hello ${address}`;
      assert.match(await send(address, subject), /\n<-  250 2\.0\.0 kept as [0-9a-f]{32}/);
      const got = await until(
        () => delivered().find((text) => text.includes(`Subject: ${subject}\n`)),
        subject,
      );
      const sent = Buffer.from(message(subject, "eve@outside.test", address)).toString("latin1");
      assert.ok(got.endsWith(sent), got);
      const head = got.slice(0, -sent.length);
      assert.match(head, /Return-Path: <eve@outside\.test>/);
      assert.match(head, /Authentication-Results: mail\.postern\.test;[^]*spf=pass/);
      const unknown = address.replace(/^[^@]+/, "nobody");
      assert.match(await send(unknown, "never"), /\n<\*\* 550 5\.1\.1 no such user here/);
    });
  }

  test("`postern gateway` says who is there and who is not", async () => {
    const known = await at.postern.cli("gateway", "ask", "ana@mail.test");
    assert.deepEqual(
      [known.code, known.stdout],
      [0, "ana@mail.test: known (gateway mail, recipients callout)\n"],
    );
    assert.equal((await at.postern.cli("gateway", "ask", "x@store.test")).code, 1);
    assert.match(
      (await at.postern.cli("gateway", "ask", "x@else.test")).stderr,
      /no gateway is for/,
    );
    const { stdout } = await at.postern.cli("gateway", "list");
    assert.match(stdout, /^mail +mail\.test +callout +no trouble seen$/m);
    const domains = await at.postern.cli("domain", "list");
    assert.match(domains.stdout, /mail\.test/);
  });

  test("the list is read again when it changes", async () => {
    writeFileSync(at.listFile, "ana@store.test\nlate@store.test\n");
    const asked = await until(async () => {
      const { code } = await at.postern.cli("gateway", "ask", "late@store.test");
      return code === 0 ? true : undefined;
    }, "late@store.test");
    assert.ok(asked);
  });

  for (const state of ["down", "silent", "garbage", "slow"] as const) {
    test(`V1 the server is ${state}: 451 for who must be asked, queued for who is known, back within 60 s`, async () => {
      assert.match(await send("ana@mail.test", `before ${state}`), /<-  250 2\.0\.0 kept/);
      await at.toPostfix.turn(state);
      const asked = `${state}@mail.test`;
      assert.match(await send(asked, "not now"), /\n<\*\* 451 4\.4\.3 /);
      const subject = `while ${state}`;
      assert.match(await send("ana@mail.test", subject), /<-  250 2\.0\.0 kept/);
      await at.toPostfix.turn("open");
      await until(
        () => at.postfix.delivered().find((text) => text.includes(`Subject: ${subject}\n`)),
        subject,
        60_000,
      );
      const told = await at.postern.cli("gateway", "ask", asked);
      assert.equal(told.code, 0, told.stdout + told.stderr);
      assert.match(await send(`nobody${state}@mail.test`, "never"), /550 5\.1\.1/);
    });
  }

  for (const state of ["down", "silent", "garbage", "slow"] as const) {
    test(`V1 the directory is ${state}: 451, and known again when it is back`, async () => {
      const address = `v1${state}@people.test`;
      at.slapd.add({ name: `V1 ${state}`, mail: address });
      await at.toSlapd.turn(state);
      assert.match(await send(address, "not now"), /\n<\*\* 451 4\.4\.3 /);
      await at.toSlapd.turn("open");
      const asked = await until(async () => {
        const { code } = await at.postern.cli("gateway", "ask", address);
        return code === 75 ? undefined : code;
      }, address);
      assert.equal(asked, 0);
    });
  }

  test("who is not there is never accepted while the link is down", async () => {
    const { pids } = at.postern.ready();
    process.kill(pids.hub, "SIGSTOP");
    try {
      assert.match(await send("new@mail.test", "not now"), /\n<\*\* 451 /);
    } finally {
      process.kill(pids.hub, "SIGCONT");
    }
  });

  describe("the relay door", () => {
    test("CAP-106 mail of the server inside leaves signed, and shows an octet that a hop changed", async () => {
      const file = join(at.postern.data, "out.eml");
      writeFileSync(file, message("going out", "ana@mail.test", "dave@outside.test"));
      const server = ["--server", "127.0.0.1", "--port", String(at.postfix.port)];
      const said = await swaks(
        ...server,
        ...["--from", "ana@mail.test", "--to", "dave@outside.test", "--data", `@${file}`],
      );
      assert.match(said, /\n<-  250 2\.0\.0 Ok: queued/);
      const mail = await until(
        () => at.outside.mails.find(({ octets }) => octets.includes("Subject: going out")),
        "going out",
      );
      assert.equal(mail.from, "<ana@mail.test>");
      const octets = Buffer.from(mail.octets.toString("latin1").replace(/^\.\./gm, "."), "latin1");
      assert.deepEqual(await dkimOf(octets), ["pass mail.test", "pass mail.test"]);
      // One octet that a hop changed, and the signature says so.
      const altered = Buffer.from(octets);
      altered[altered.lastIndexOf("last")] = "L".charCodeAt(0);
      assert.deepEqual(await dkimOf(altered), ["neutral mail.test", "neutral mail.test"]);
    });

    async function dkimOf(octets: Buffer): Promise<string[]> {
      const { stdout } = await at.postern.cli("dns", "show", "mail.test", "--json");
      const records = JSON.parse(stdout) as { type: string; name: string; value: string }[];
      const { dkim } = await authenticate(octets, {
        resolver: async (name: string, type: string) => {
          const found = records.find(
            (one) => one.type === type && `${one.name}.mail.test` === name,
          );
          if (found === undefined) throw Object.assign(new Error("none"), { code: "ENOTFOUND" });
          return [[found.value]];
        },
        trustReceived: false,
        disableArc: true,
        disableBimi: true,
      });
      return dkim.results.map((one) => `${one.status.result} ${one.signingDomain}`);
    }

    const refused: readonly (readonly [string, readonly string[], RegExp])[] = [
      ["without TLS", [], /530 5\.7\.0 Must issue a STARTTLS/],
      ["without a login", ["--tls"], /\n<~\* 5\d\d 5\.7\.[01]/],
      ["with a wrong password", ["--tls", ...login("inside", "wrong")], /\n<~\* 535 5\.7\.8/],
    ];
    for (const [how, more, reply] of refused) {
      test(`CAP-43 a stranger inside ${how} is refused`, async () => {
        assert.match(await relay("ana@mail.test", "dave@outside.test", ...more), reply);
      });
    }

    test("a login sends for its domains only, in the envelope and in From", async () => {
      const good = ["--tls", ...login("inside", "between two servers")];
      assert.match(
        await relay("x@postern.test", "dave@outside.test", ...good),
        /\n<~\* 550 5\.7\.1/,
      );
      const forged = ["--header", "From: boss@outside.test", ...good];
      assert.match(
        await relay("ana@mail.test", "dave@outside.test", ...forged),
        /\n<~\* 550 5\.7\.1 this login may not send as that From/,
      );
      assert.match(
        await relay("ana@mail.test", "nobody@store.test", ...good),
        /\n<~\* 550 5\.1\.1 no such user/,
      );
      const local = await relay("ana@mail.test", "ben@postern.test", ...good);
      assert.match(local, /\n<~  250 2\.0\.0/);
    });

    test("S15 two servers that send a message to and fro stop", async () => {
      const { port } = at.postfix;
      const server = ["--server", "127.0.0.1", "--port", String(port)];
      const header = ["--header", "Subject: round and round", "--header", "From: ana@mail.test"];
      const way = ["--from", "ana@mail.test", "--to", "x@loop.test"];
      assert.match(await swaks(...server, ...way, ...header), /250 2\.0\.0 Ok: queued/);
      const notice = await until(
        () => at.postfix.delivered().find((text) => text.includes("goes round in circles")),
        "the notice about the loop",
      );
      const passes = notice.match(/^Received: from .*\n\tby mail\.postern\.test with ESMTPSA/gm);
      assert.equal(passes?.length, 6, notice);
    });

    async function relay(from: string, to: string, ...more: readonly string[]): Promise<string> {
      const server = ["--server", "127.0.0.1", "--port", String(at.relayPort)];
      return swaks(...server, "--from", from, "--to", to, ...more);
    }
  });

  describe("the LMTP door", () => {
    const lmtp = (from: string, to: string, subject: string): Promise<string> =>
      swaks(
        ...["--protocol", "LMTP", "--socket", at.lmtpSocket, "--from", from, "--to", to],
        ...["--header", `Subject: ${subject}`, "--header", "From: eve@outside.test"],
        ...["--add-header", "Received: from mx.outside.test ([192.0.2.7]) by mta.test with ESMTP"],
      );

    test("takes mail for mailboxes here, with a reply for each, and for nobody else", async () => {
      const address = at.postern.ready().accounts[0]?.address ?? "";
      const said = await lmtp("eve@outside.test", `${address},nobody@postern.test`, "by lmtp");
      assert.match(said, /\n<\*\* 550 5\.1\.1 no such user here/);
      assert.equal(said.match(/^<-  250 2\.0\.0 kept$/gm)?.length, 1, said);
      const foreign = await lmtp("eve@outside.test", "dave@outside.test", "no");
      assert.match(foreign, /\n<\*\* 550 5\.7\.1 no domain of ours/);
    });

    test("judges the host that its server names: what fails is Junk, not refused", async () => {
      const address = at.postern.ready().accounts[0]?.address ?? "";
      assert.match(await lmtp("eve@outside.test", address, "judged"), /250 2\.0\.0 kept/);
      const { stdout } = await at.postern.cli("trace", "find", "--json", "eve@outside.test");
      assert.match(stdout, /judged|eve@outside\.test/);
      const kept = await newest(address, "judged");
      assert.match(kept, /spf=fail[^;]*outside\.test/);
    });

    async function newest(address: string, subject: string): Promise<string> {
      const { imap, ca, accounts } = at.postern.ready();
      const { password = "" } = accounts.find((one) => one.address === address) ?? {};
      using talk = await Talk.open(imap, { ca: [await readFile(ca)], servername: "localhost" });
      await talk.line();
      talk.send(`a LOGIN ${address} ${password}\r\nb SELECT Junk\r\n`);
      talk.send(`c UID SEARCH SUBJECT "${subject}"\r\nd FETCH * BODY.PEEK[]\r\n`);
      let text = "";
      for (;;) {
        const line = await talk.line();
        text += `${line}\n`;
        if (line.startsWith("d ")) return text;
      }
    }
  });
});

function login(user: string, password: string): readonly string[] {
  return ["--auth", "PLAIN", "--auth-user", user, "--auth-password", password];
}
