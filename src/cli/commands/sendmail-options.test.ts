import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ExitError } from "../exit.ts";
import { parseSendmail, type SendmailOptions } from "./sendmail-options.ts";

const usual: SendmailOptions = {
  mode: "deliver",
  readsRecipients: false,
  ignoresDots: false,
  isVerbose: false,
  recipients: [],
};

describe("parseSendmail()", () => {
  const lines: readonly (readonly [line: string, means: Partial<SendmailOptions>])[] = [
    ["-t -i", { readsRecipients: true, ignoresDots: true }], // mail() of PHP
    ["-ti", { readsRecipients: true, ignoresDots: true }],
    ["-i -FCronDaemon -B8BITMIME -oem root", fromCron()], // cron of Debian
    ["-oem -oi -f ana@x.test -- a@y.test b@y.test", fromMutt()],
    ["-fana@x.test a@y.test", { sender: "ana@x.test", recipients: ["a@y.test"] }],
    ["-r ana@x.test a@y.test", { sender: "ana@x.test", recipients: ["a@y.test"] }],
    ["-f <> a@y.test", { sender: "", recipients: ["a@y.test"] }],
    ["a@y.test -v -- -odd@y.test", { isVerbose: true, recipients: ["a@y.test", "-odd@y.test"] }],
    ["-N success,delay a@b", { notify: ["success", "delay"], recipients: ["a@b"] }],
    ["-N never -R hdrs -V id1 a@b", dsn()],
    ["-R full a@b", { dsnReturn: "full", recipients: ["a@b"] }],
    ["-bs", { mode: "smtp" }],
    ["-bp", { mode: "list" }],
    ["-bm a@b", { recipients: ["a@b"] }],
    ["-q", { mode: "nothing" }],
    ["-q30m", { mode: "nothing" }],
    ["-odq -oQ/tmp -O Timeout=1 -C /etc/x -h 3 -L tag -G -U -m -n -p ESMTP a@b", passedOver()],
    ["", {}],
  ];
  for (const [line, means] of lines) {
    test(`reads ${line === "" ? "nothing" : line}`, () => {
      const words = line === "" ? [] : line.split(" ");
      assert.deepEqual(parseSendmail(words), { ...usual, ...means });
    });
  }

  for (const line of [
    "-f",
    "-z",
    "-bd",
    "-bi",
    "-bv a@b",
    "-N sometimes a@b",
    "-N never,delay a@b",
    "-R some",
    "-B UTF16",
  ]) {
    test(`refuses ${line} as wrong usage`, () => {
      const read = (): unknown => parseSendmail(line.split(" "));
      assert.throws(read, (error) => error instanceof ExitError && error.code === 64);
    });
  }
});

function fromCron(): Partial<SendmailOptions> {
  return { ignoresDots: true, fullName: "CronDaemon", body: "8bitmime", recipients: ["root"] };
}

function fromMutt(): Partial<SendmailOptions> {
  return { ignoresDots: true, sender: "ana@x.test", recipients: ["a@y.test", "b@y.test"] };
}

function dsn(): Partial<SendmailOptions> {
  return { notify: ["never"], dsnReturn: "headers", envelopeId: "id1", recipients: ["a@b"] };
}

function passedOver(): Partial<SendmailOptions> {
  return { recipients: ["a@b"] };
}
