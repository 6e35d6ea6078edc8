/** The client against servers of others: Dovecot's LMTP, and Postfix with Dovecot's logins. */

import assert from "node:assert/strict";
import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type ClientLogin, type ClientOutcome, deliver } from "#transport/smtp-client";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { codes, common } from "../../../tests/kit/client.ts";
import { type DovecotMail, startDovecotMail } from "../../../tests/kit/dovecot-mail.ts";
import { mayRunPostfix, type Postfix, startPostfix } from "../../../tests/kit/postfix.ts";

const certificate = selfSigned("mx.peer.test");
const proof = {
  kind: "authority",
  names: ["mx.peer.test"],
  authorities: [certificate.cert],
} as const;
const proven = { level: "required", serverName: "mx.peer.test", proof } as const;
const secret = "geheim, größer=als";

describe("real servers", { skip: mayRunPostfix ? false : "needs root" }, () => {
  let dovecot: DovecotMail;
  let postfix: Postfix;
  const folder = mkdtempDisposableSync(join(tmpdir(), "postern-client-"));

  before(async () => {
    const owners = ["partner", "a@peer.test", "b@peer.test"];
    dovecot = await startDovecotMail(owners.map((address) => ({ address, password: secret })));
    const file = join(folder.path, "tls.pem");
    writeFileSync(file, certificate.key + certificate.cert, { mode: 0o600 });
    postfix = await startPostfix(
      "peer.test",
      `smtpd_tls_chain_files = ${file}
smtpd_tls_security_level = encrypt
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:${dovecot.authPort}
smtpd_relay_restrictions = permit_sasl_authenticated, reject
`,
    );
  });
  after(async () => {
    await postfix[Symbol.asyncDispose]();
    await dovecot[Symbol.asyncDispose]();
    folder.remove();
  });

  async function logIn(login: ClientLogin, marker: string): Promise<ClientOutcome> {
    const content = Buffer.from(`Subject: ${marker}\r\n\r\nx\r\n`);
    const stream = connect(postfix.port, "127.0.0.1");
    const mail = common({ to: ["b@peer.test"], tls: proven, content });
    return await deliver({ ...mail, login, stream });
  }

  for (const mechanism of ["scram", "plain"] as const) {
    test(`CAP-44 Postfix with Dovecot's logins lets us in by ${mechanism}`, async () => {
      const login = { mechanism, user: "partner", secrets: ["an old one", secret] };
      const outcome = await logIn(login, `by ${mechanism}`);
      assert.deepEqual(codes(outcome), ["end 250 2.0.0"]);
      assert.ok(outcome.opened);
      assert.equal(outcome.tls?.provenName, "mx.peer.test");
      await postfix.waitFor(`Subject: by ${mechanism}`);
    });

    test(`CAP-44 a wrong secret is its word to say, by ${mechanism}`, async () => {
      const outcome = await logIn({ mechanism, user: "partner", secrets: ["wrong"] }, "never");
      assert.deepEqual(codes(outcome), ["login 5.7.8"]);
      assert.ok(!outcome.opened);
      assert.match(String(outcome.failure.reply.text), /authentication failed/i);
    });
  }

  test("LMTP to Dovecot: some recipients get it, others not, each with its own words", async () => {
    dovecot.close("b@peer.test");
    const content = Buffer.from("Subject: by lmtp\r\n\r\n.dot\r\n");
    const to = ["a@peer.test", "nobody@peer.test", "b@peer.test"];
    const mail = common({ to, tls: { level: "none" }, content });
    const stream = connect(dovecot.lmtpPort, "127.0.0.1");
    const outcome = await deliver({ ...mail, protocol: "lmtp", stream });
    assert.deepEqual(
      codes(outcome).map((one) => one.slice(0, 13)),
      ["end 250 2.0.0", "recipient 550", "end 451 4.2.0"],
    );
    const [arrived, ...others] = dovecot.delivered("a@peer.test");
    assert.match(arrived ?? "", /Subject: by lmtp\r?\n\r?\n\.dot/);
    assert.equal(others.length, 0);
  });
});
