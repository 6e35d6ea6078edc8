import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import type { Entry, Mailbox } from "#model/mailbox";
import { View } from "./view.ts";

const mailbox = { id: "m", name: "INBOX" } as Mailbox;
const entryOf = (uid: number, modSeq = 1): Entry => ({
  mailbox: "m",
  uid,
  modSeq,
  flags: [],
  receivedAtMs: 0,
  message: "",
  sizeBytes: 0,
});
const viewOf = (...uids: number[]): View => {
  const view = new View(mailbox, false);
  view.load(uids.map((uid) => entryOf(uid)));
  return view;
};
const star = Number.POSITIVE_INFINITY;

describe("View", () => {
  test("resolves sets of numbers and of UIDs", () => {
    const view = viewOf(2, 4, 6, 8);
    const cases = [
      [[{ from: 4, to: 1 }], false, [{ from: 1, to: 4 }]],
      [[{ from: star, to: star }], false, [{ from: 4, to: 4 }]],
      [[{ from: 5, to: 5 }], false, undefined],
      [[{ from: 3, to: 6 }], true, [{ from: 2, to: 3 }]],
      [[{ from: 5, to: 5 }], true, []],
      [[{ from: 100, to: star }], true, [{ from: 4, to: 4 }]],
      [[{ from: star, to: 1 }], true, [{ from: 1, to: 4 }]],
      [
        [
          { from: 8, to: 8 },
          { from: 2, to: 2 },
          { from: 4, to: 4 },
        ],
        true,
        [
          { from: 1, to: 2 },
          { from: 4, to: 4 },
        ],
      ],
    ] as const;
    for (const [set, uid, expected] of cases) assert.deepEqual(view.resolve(set, uid), expected);
    assert.equal(viewOf().resolve([{ from: 1, to: star }], false), undefined);
    assert.deepEqual(viewOf().resolve([{ from: 1, to: star }], true), []);
  });

  test("cuts what it asks of the store into pieces", () => {
    const view = viewOf(...Array.from({ length: 1000 }, (_, index) => index * 2 + 1));
    const slices = [
      ...view.slices([
        { from: 1, to: 10 },
        { from: 20, to: 600 },
      ]),
    ];
    assert.deepEqual(slices[0], [
      { from: 1, to: 19 },
      { from: 39, to: 529 },
    ]);
    assert.equal(slices.length, 3);
  });

  test("keeps what happened while it was read", () => {
    const view = new View(mailbox, false);
    view.noteAdded(3);
    view.noteAdded(4);
    view.load([entryOf(1), entryOf(2), entryOf(3)]);
    assert.deepEqual(view.takeAdded(), [4]);
    assert.equal(view.seqOf(4), 4);
  });

  test("numbers EXPUNGE responses as a client that counts along would (RFC 9051 §7.5.1)", () => {
    const random = seededRandom(3);
    for (let run = 0; run < 200; run += 1) {
      const uids = Array.from({ length: 1 + pick(random, 30) }, (_, index) => index + 1);
      const view = viewOf(...uids);
      const client = [...uids];
      const gone = uids.filter(() => random.fraction() < 0.3);
      for (const uid of gone) view.noteExpunged(uid);
      for (const { uid, seq } of view.takeExpunged()) {
        assert.equal(client[seq - 1], uid);
        client.splice(seq - 1, 1);
      }
      view.noteAdded(100);
      view.takeAdded();
      client.push(100);
      assert.deepEqual(
        client.map((uid) => view.seqOf(uid)),
        client.map((_, index) => index + 1),
      );
      assert.equal(view.count, client.length);
    }
  });

  test("forgets a message that came and went before it was told", () => {
    const view = viewOf(1);
    view.noteAdded(2);
    view.noteExpunged(2);
    assert.equal(view.hasNews, false);
  });
});
