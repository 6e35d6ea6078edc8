import { describe, test } from "node:test";
import { runSeed } from "../kit/power-cuts.ts";

const seeds = 300;

describe("a store whose power fails at any moment", () => {
  test(`keeps every answer it gave, for ${seeds} seeds (D4, D8, I6)`, async () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      try {
        await runSeed(seed);
      } catch (error) {
        const replay = `node tests/kit/power-cuts.ts --seeds 1 --from ${seed}`;
        throw new Error(`seed ${seed} failed; replay it with: ${replay}`, { cause: error });
      }
    }
  });
});
