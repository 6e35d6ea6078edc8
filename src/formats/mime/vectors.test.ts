import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { describeMessage } from "#formats/mime";
import type { MimePart } from "#model/description";

const folder = new URL("../../../tests/conformance/mime/", import.meta.url);
type Tree = string | readonly Tree[];
const expected: Record<string, { python: Tree; ours?: Tree }> = JSON.parse(
  readFileSync(new URL("structure.json", folder), "utf8"),
);

function treeOf(part: MimePart): Tree {
  const type = `${part.type}/${part.subtype}`;
  if (part.type === "multipart") return [type, ...part.parts.map(treeOf)];
  return part.message === undefined ? type : [type, treeOf(part.message.root)];
}

function checkOffsets(part: MimePart, start: number, end: number): void {
  assert.ok(start <= part.headerStart && part.headerStart <= part.bodyStart, part.section);
  assert.ok(part.bodyStart <= part.bodyEnd && part.bodyEnd <= end, part.section);
  const inside = part.message === undefined ? part.parts : [part.message.root];
  let from = part.bodyStart;
  for (const child of inside) {
    checkOffsets(child, from, part.bodyEnd);
    from = child.bodyEnd;
  }
}

describe("describeMessage() on messages of other projects", () => {
  for (const [name, { python, ours }] of Object.entries(expected)) {
    test(`reads ${name}${ours === undefined ? " as Python does" : ""}`, () => {
      const octets = readFileSync(new URL(name, folder));
      const { root } = describeMessage(octets);
      assert.deepEqual(treeOf(root), ours ?? python);
      checkOffsets(root, 0, octets.length);
    });
  }

  test("leaves none out", () => {
    const files = ["mime4j", "python-email"].flatMap((one) =>
      readdirSync(new URL(one, folder)).filter((name) => /\.msg$|^msg_.*\.txt$/.test(name)),
    );
    assert.equal(files.length, Object.keys(expected).length);
  });
});
