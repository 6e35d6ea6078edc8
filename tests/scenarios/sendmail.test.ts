/** sendmail for programs of the machine: cron, PHP, mutt and scripts hand in mail at the local socket. */

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { application, type Installation, startInstallation } from "../kit/installation.ts";

const run = promisify(execFile);
const sendmail = join(application, "sendmail");

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe("sendmail", () => {
  let installation: Installation;
  let folder: string;
  let socket: string;
  const env = (): NodeJS.ProcessEnv => ({
    ...process.env,
    POSTERN_SENDMAIL_SOCKET: socket,
    POSTERN_DATA: installation.data,
  });

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "postern-sendmail-"));
    mkdirSync(join(folder, "run"));
    socket = join(folder, "run/sendmail.sock");
    installation = await startInstallation({
      config: `[sendmail]\nsenders = ["shop@postern.test"]\n`,
      listen: { local: socket },
    });
  });
  after(async () => {
    await installation[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const ana = (): string => installation.ready().accounts[0]?.address ?? "";

  function hand(words: readonly string[], text: string, more: object = {}): Promise<Ran> {
    return new Promise((resolve) => {
      const child = spawn(sendmail, words, { env: env(), ...more });
      let [stdout, stderr] = ["", ""];
      child.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
      child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
      child.once("close", (code) => resolve({ code, stdout, stderr }));
      child.stdin?.end(text);
    });
  }

  /** Says a line after each reply. */
  function speak(lines: readonly string[]): Promise<Pick<Ran, "code" | "stdout">> {
    return new Promise((resolve) => {
      const child = spawn(sendmail, ["-bs"], { env: env(), stdio: ["pipe", "pipe", "inherit"] });
      const left = [...lines];
      let stdout = "";
      child.stdout.on("data", (chunk: Buffer) => {
        stdout += chunk.toString();
        const isWhole = /^\d{3} .*\r\n$/m.test(
          stdout.slice(stdout.lastIndexOf("\n", stdout.length - 2) + 1),
        );
        if (isWhole && left.length > 0) child.stdin.write(`${left.shift()}\r\n`);
      });
      child.once("close", (code) => resolve({ code, stdout }));
    });
  }

  /** The message whose trace names the text, as it lies in the mailbox. */
  async function delivered(text: string): Promise<string> {
    for (let turn = 0; turn < 40; turn += 1) {
      const found = await installation.cli("trace", "find", text);
      const id = /[0-9a-f]{32}/.exec(found.stdout)?.[0];
      if (id !== undefined && found.stdout.includes("delivered")) {
        const why = ["--account", ana(), "--reason", "test"];
        return (await installation.cli("message", "read", id, ...why)).stdout;
      }
      await pause(250);
    }
    throw new Error(`nothing about ${text} was delivered`);
  }

  test("takes what cron sends to root, for the postmaster", async () => {
    const text = "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@vm> job\n\ndone\n";
    const ran = await hand(["-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root"], text);
    assert.deepEqual(ran, { code: 0, stdout: "", stderr: "" });
    const message = await delivered("root@mail.postern.test");
    assert.match(message, /\r\nFrom: "Cron Daemon" <root@mail\.postern\.test>\r\n/);
    assert.match(message, /\r\nDate: [^\r]+\r\n/);
    assert.match(message, /\r\nMessage-ID: <[0-9a-f]{32}@mail\.postern\.test>\r\n/);
    assert.match(message, /\r\n\r\ndone\r\n$/);
  });

  test("takes what mail() of PHP sends, with its additional parameters", async (t) => {
    if (!existsSync("/usr/bin/php")) return t.skip("needs the package php-cli");
    const code = `exit(mail("${ana()}", "from php", "line 1\\nline 2", "From: shop@postern.test\\r\\nBcc: ben@postern.test", "-fshop@postern.test") ? 0 : 1);`;
    await run("/usr/bin/php", ["-d", `sendmail_path=${sendmail} -t -i`, "-r", code], {
      env: env(),
    });
    const message = await delivered("shop@postern.test");
    assert.match(message, /\r\nFrom: shop@postern\.test\r\n/);
    assert.match(message, /\r\n\r\nline 1\r\nline 2\r\n$/);
    assert.ok(!/bcc/i.test(message));
    const { stdout } = await installation.cli("trace", "find", "shop@postern.test");
    assert.match(stdout, /ben@postern\.test/);
  });

  test("takes what mutt sends", async (t) => {
    if (!existsSync("/usr/bin/mutt")) return t.skip("needs the package mutt");
    const rc = join(folder, "muttrc");
    const settings = [
      `set sendmail="${sendmail} -oem -oi"`,
      "set use_envelope_from=yes",
      'set from="mutt@mail.postern.test"',
      'set realname="M. Utt"',
      "set copy=no",
    ];
    writeFileSync(rc, `${settings.join("\n")}\n`);
    const child = spawn("/usr/bin/mutt", ["-n", "-F", rc, "-s", "grüße", "--", ana()], {
      env: { ...env(), HOME: folder, LC_ALL: "C.UTF-8" },
      stdio: ["pipe", "ignore", "inherit"],
    });
    child.stdin.end("hello from mutt\n");
    const code = await new Promise((done) => void child.once("close", done));
    assert.equal(code, 0);
    const message = await delivered("mutt@mail.postern.test");
    assert.match(message, /\r\nFrom: "M\. Utt" <mutt@mail\.postern\.test>\r\n/);
    assert.match(message, /\r\n\r\nhello from mutt\r\n$/);
  });

  test("serves a shell script and -bs; the queue is for operators", async () => {
    const script = join(folder, "report.sh");
    const lines = `printf 'To: ${ana()}\\nSubject: report\\n\\nfine\\n' | ${sendmail} -t -f script`;
    writeFileSync(script, `#!/bin/sh\nset -e\n${lines}\n`);
    chmodSync(script, 0o755);
    await run(script, [], { env: env() });
    assert.match(await delivered("script@mail.postern.test"), /\r\n\r\nfine\r\n$/);

    const message = "From: smtp@mail.postern.test\r\nSubject: bs\r\n\r\nby hand\r\n.";
    const from = "MAIL FROM:<smtp@mail.postern.test>";
    const spoken = await speak(["EHLO x", from, `RCPT TO:<${ana()}>`, "DATA", message, "QUIT"]);
    assert.equal(spoken.code, 0);
    assert.match(spoken.stdout, /^220 mail\.postern\.test [^]*\n221 /);
    assert.match(await delivered("smtp@mail.postern.test"), /\r\n\r\nby hand\r\n$/);

    assert.match((await hand(["-bp"], "")).stdout, /^Mail queue is empty|^[0-9a-f]/);
    assert.equal((await hand(["-q"], "")).code, 0);
  });

  const refusals: readonly (readonly [
    what: string,
    words: readonly string[],
    code: number,
    says: RegExp,
  ])[] = [
    ["no recipient", ["-i"], 64, /no recipients/],
    ["an unknown option", ["-z", "ana@postern.test"], 64, /unknown option -z/],
    ["an unknown user", ["nobody@postern.test"], 67, /550 5\.1\.1/],
    ["the address of a person", ["-f", "ana@postern.test", "ben@postern.test"], 69, /550 5\.7\.1/],
  ];
  for (const [what, words, code, says] of refusals) {
    test(`refuses ${what} with the exit code that programs know`, async () => {
      const ran = await hand(words, "Subject: x\n\nx\n");
      assert.equal(ran.code, code, ran.stderr);
      assert.match(ran.stderr, says);
    });
  }

  test("refuses to write as a person in From, too", async () => {
    const ran = await hand([ana()], "From: ben@postern.test\nSubject: x\n\nx\n");
    assert.equal(ran.code, 69, ran.stderr);
    assert.match(ran.stderr, /may not send as that From address/);
  });

  test("waits for a hub that starts again, and says 75 when there is none", async () => {
    const { hub } = installation.ready().pids;
    process.kill(hub, "SIGKILL");
    const ran = await hand([ana()], "Subject: while it is down\n\nx\n");
    assert.deepEqual([ran.code, ran.stderr], [0, ""]);
    const away = { env: { ...env(), POSTERN_SENDMAIL_SOCKET: join(folder, "nothing.sock") } };
    const lost = await hand([ana()], "Subject: x\n\nx\n", away);
    assert.equal(lost.code, 75);
    assert.match(lost.stderr, /the mail system does not answer/);
  });

  test("is closed to who may not pass the socket's folder", async () => {
    chmodSync(join(folder, "run"), 0o700);
    // Root passes everywhere, so a user without rights tries.
    const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
    if (!("uid" in nobody)) return;
    const probe = `require("node:net").connect(${JSON.stringify(socket)}).once("error", (error) => process.stdout.write(error.code))`;
    const child = spawn(process.execPath, ["-e", probe], { ...nobody, cwd: "/" });
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    await new Promise((done) => void child.once("close", done));
    assert.equal(said, "EACCES");
  });
});
