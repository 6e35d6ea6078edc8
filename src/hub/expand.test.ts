import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "#base/random";
import type { Destination } from "#contracts/directory";
import type { Envelope } from "#model/envelope";
import type { Verdict } from "#model/verdict";
import { fakeClock } from "../../tests/kit/fake-clock.ts";
import { expand } from "./expand.ts";

const people: Readonly<Record<string, readonly Destination[]>> = {
  "ana@here.example": [{ kind: "account", account: "ana" }],
  "zoe@inside.example": [{ kind: "elsewhere", address: "zoe@inside.example" }],
  "team@here.example": [
    { kind: "account", account: "ana" },
    { kind: "elsewhere", address: "dave@far.example" },
  ],
};
const ports = {
  directory: { resolve: (path: string) => people[path] ?? [] },
  clock: fakeClock(),
  random: seededRandom(1),
};
const proof: Verdict = {
  ...{ method: "spf", result: "pass", domain: "from.example", identity: "mailfrom", why: "" },
};

function mail(envelope: Partial<Envelope>, verdicts: readonly Verdict[] = []) {
  const connection = { listener: "smtp", clientAddress: "192.0.2.1", clientPort: 1, helo: "x" };
  return {
    id: "0".repeat(32),
    receivedBy: "mx",
    connection: { ...connection, extended: true },
    envelope: { reversePath: "eve@from.example", recipients: [], ...envelope },
    receivedAtMs: 0,
    steps: [],
    verdicts,
  };
}

const to = (...paths: readonly string[]): Pick<Envelope, "recipients"> => ({
  recipients: paths.map((path) => ({ path })),
});
const accept = { disposition: "accept", opinions: [] } as const;

describe("expand()", () => {
  test("mailboxes here once each, the rest to the queue, and who leads nowhere by name", () => {
    const all = mail(
      to("ana@here.example", "team@here.example", "zoe@inside.example", "x@here.example"),
    );
    const { deliveries, queue, nobody } = expand(all, accept, ports);
    assert.deepEqual(deliveries, [{ account: "ana", mailbox: "inbox", flags: [] }]);
    assert.deepEqual(
      queue.map(({ recipient }) => recipient),
      ["dave@far.example", "zoe@inside.example"],
    );
    assert.deepEqual(nobody, [{ path: "x@here.example" }]);
  });

  test("the envelope's wishes go on with what is forwarded (RFC 3461 §5.2.1, RFC 8689 §4.2)", () => {
    const wishes = {
      notify: ["success", "failure"],
      originalRecipient: "rfc822;z@old.example",
    } as const;
    const envelope = {
      recipients: [{ path: "zoe@inside.example", ...wishes }],
      ...({ dsnReturn: "headers", envelopeId: "id 7", requireTls: true, utf8: true } as const),
    };
    const [item] = expand(mail(envelope, [proof]), accept, ports).queue;
    assert.deepEqual(
      [
        item?.reversePath,
        item?.wishes,
        item?.dsnReturn,
        item?.envelopeId,
        item?.requireTls,
        item?.utf8,
      ],
      ["eve@from.example", wishes, "headers", "id 7", true, true],
    );
    assert.equal(item?.unprovenSender, undefined);
  });

  test("S16 a sender that nothing proved is marked, so that no notice goes to a stranger", () => {
    const one = to("zoe@inside.example");
    assert.equal(expand(mail(one), accept, ports).queue[0]?.unprovenSender, true);
    const failed = [{ ...proof, result: "softfail" } as Verdict];
    assert.equal(expand(mail(one, failed), accept, ports).queue[0]?.unprovenSender, true);
    const none = mail({ ...one, reversePath: "" });
    assert.equal(expand(none, accept, ports).queue[0]?.unprovenSender, undefined);
  });
});
