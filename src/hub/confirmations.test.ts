import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { Acceptance } from "#contracts/store";
import type { Recipient } from "#model/envelope";
import type { Verdict } from "#model/verdict";
import { type ConfirmationPorts, confirmDelivery } from "./confirmations.ts";
import type { OwnMail } from "./outgoing.ts";

const proven: Verdict = {
  method: "spf",
  result: "pass",
  domain: "example.net",
  identity: "mailfrom",
  why: "",
};

/** What is committed once a message for these was accepted. */
async function confirmed(
  recipients: readonly Recipient[],
  more: {
    reversePath?: string;
    verdicts?: readonly Verdict[];
    direction?: Acceptance["direction"];
    fails?: boolean;
  } = {},
): Promise<{ own: OwnMail[]; warned: number }> {
  const own: OwnMail[] = [];
  let warned = 0;
  const ports = {
    directory: {
      resolve: (path: string) =>
        path.startsWith("alias")
          ? [{ kind: "elsewhere", address: "x@elsewhere.example" }]
          : [{ kind: "account", account: path }],
    },
    store: {
      messages: {
        read: () => {
          if (more.fails === true) throw new Error("the disk is gone");
          return Promise.resolve(Buffer.from("Subject: hello\r\n\r\nsecret body\r\n"));
        },
      },
    },
    clock: { nowMs: () => 2000 },
    log: { write: () => (warned += 1) },
    settings: { hostname: "mail.example.org" },
    commit: async (one: OwnMail) => void own.push(one),
    queued: () => {},
  };
  const acceptance = {
    id: "f00d",
    direction: more.direction ?? "inbound",
    envelope: { reversePath: more.reversePath ?? "eve@example.net", recipients, envelopeId: "e1" },
    verdicts: more.verdicts ?? [proven],
    acceptedAtMs: 1000,
  };
  confirmDelivery(acceptance as unknown as Acceptance, ports as unknown as ConfirmationPorts);
  await turn();
  return { own, warned };
}

const wished = (path: string): Recipient => ({ path, notify: ["success"] });

describe("confirmDelivery()", () => {
  test("tells the sender of each mailbox that was asked about, with the header alone (RFC 3461 §5.2.3)", async () => {
    const { own } = await confirmed([
      { ...wished("ana@example.org"), originalRecipient: "rfc822;Ana@example.org" },
      wished("ben@example.org"),
      { path: "cem@example.org", notify: ["failure"] },
      { path: "dan@example.org" },
      wished("alias@example.org"),
    ]);
    assert.equal(own.length, 1);
    const [mail] = own;
    assert.deepEqual([mail?.reversePath, mail?.recipients], ["", ["eve@example.net"]]);
    const text = Buffer.from(mail?.content ?? "").toString();
    assert.match(text, /Original-Envelope-Id: e1\r\n/);
    assert.deepEqual(text.match(/^Final-Recipient: .*$/gm), [
      "Final-Recipient: rfc822; ana@example.org",
      "Final-Recipient: rfc822; ben@example.org",
    ]);
    assert.equal(text.match(/^Action: delivered\r$/gm)?.length, 2);
    assert.match(text, /Original-Recipient: rfc822; Ana@example\.org\r\n/);
    assert.match(text, /\r\nSubject: hello\r\n/);
    assert.ok(!text.includes("secret body"));
  });

  test("writes to nobody who is not proven to be the sender", async () => {
    for (const more of [
      { verdicts: [] },
      { reversePath: "" },
      { reversePath: "x@other.example" },
    ]) {
      assert.deepEqual(await confirmed([wished("ana@example.org")], more), { own: [], warned: 0 });
    }
  });

  test("S16 a login counts at a door of ours alone: who owns an edge could claim any", async () => {
    const login: Verdict = { method: "auth", result: "pass", login: "acme", connector: "acme" };
    for (const [direction, count] of [
      ["inbound", 0],
      ["submission", 1],
    ] as const) {
      const { own } = await confirmed([wished("ana@example.org")], {
        ...{ direction, verdicts: [login], reversePath: "victim@other.example" },
      });
      assert.equal(own.length, count, direction);
    }
  });

  test("costs no message when it fails", async () => {
    const { own, warned } = await confirmed([wished("ana@example.org")], { fails: true });
    assert.deepEqual([own.length, warned], [0, 1]);
  });
});
