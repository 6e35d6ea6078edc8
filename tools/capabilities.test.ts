import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";

const root = dirname(import.meta.dirname);

interface Row {
  readonly number: number;
  readonly state: string;
  readonly proof: string;
}

function rows(): Row[] {
  const text = readFileSync(join(root, "docs/capabilities.md"), "utf8");
  return text.split("\n").flatMap((line) => {
    const [, number, , state, proof] = line.split("|").map((cell) => cell.trim());
    return /^\d+$/.test(number ?? "")
      ? [{ number: Number(number), state: state ?? "", proof: proof ?? "" }]
      : [];
  });
}

describe("docs/capabilities.md", () => {
  test("has every row once, in order, with a state", () => {
    const numbers = rows().map(({ number }) => number);
    assert.deepEqual(
      numbers,
      Array.from({ length: 130 }, (_, index) => index + 1),
    );
    for (const row of rows())
      assert.match(row.state, /^(works|partly|not yet)$/, `row ${row.number}`);
  });

  test("names only tests that are there, and none where there is nothing", () => {
    for (const { number, state, proof } of rows()) {
      const files = [...proof.matchAll(/`([^`]+\.test\.ts)`/g)].map((match) => match[1] ?? "");
      for (const file of files) assert.ok(existsSync(join(root, file)), `row ${number}: ${file}`);
      if (state === "works") assert.ok(files.length > 0, `row ${number} works by no test`);
      if (state === "not yet") assert.equal(proof, "", `row ${number}`);
      for (const [, file, cap] of proof.matchAll(/`([^`]+\.test\.ts)` CAP-(\d+)/g)) {
        const text = readFileSync(join(root, file ?? ""), "utf8");
        assert.match(text, new RegExp(`CAP-${cap}\\b`), `row ${number}: ${file}`);
      }
    }
  });
});
