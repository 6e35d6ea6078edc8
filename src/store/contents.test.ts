import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { aesGcm } from "./cipher.ts";
import { Contents } from "./contents.ts";
import type { Ledger } from "./ledger.ts";
import type { Place } from "./records.ts";
import type { Views } from "./views.ts";

describe("the writer of a large content", () => {
  test("goes on when few enough parts are on their way, in whatever order they end", async () => {
    const ends: (() => void)[] = [];
    const place = { segment: 1, page: 0, offset: 0, bytes: 1000, blob: 1000 } as unknown as Place;
    const ledger = {
      commitPlaced: () => new Promise<Place>((resolve) => void ends.push(() => resolve(place))),
    };
    const contents = new Contents(
      { keys: { cipher: aesGcm } } as Views,
      ledger as unknown as Ledger,
      1000,
    );
    const writer = contents.stage();
    let isThrough = false;
    const writing = Promise.resolve(writer.write(Buffer.alloc(11_000, 1))).then(() => {
      isThrough = true;
    });
    assert.equal(ends.length, 11);
    // The last five, then the first: five others are still on their way.
    for (const nth of [6, 7, 8, 9, 10, 0]) ends[nth]?.();
    // A turn of the event loop comes only if nothing spins on promises that are kept already.
    await new Promise(setImmediate);
    assert.equal(isThrough, false);
    ends[3]?.();
    await writing;
    assert.equal(isThrough, true);
  });
});
