/** Imports go down, neighbours do not know each other, pure rooms have no hands, doors are used. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { floors, handsOfNode, pureFolders, typeExceptions } from "./house.ts";
import { doorsOf, filesBelow, type Import, importsOf } from "./imports.ts";

export function checkFloors(root: string): string[] {
  const doors = new Set(Object.values(doorsOf(root)).map((path) => path.replace(/^\.\//, "")));
  const findings = filesBelow(root, "src").flatMap((file) =>
    importsOf(root, file).flatMap((one) => {
      const wrong = fault(one, doors, file.endsWith(".test.ts"));
      return wrong === undefined ? [] : [`${one.from}:${one.line}: ${one.specifier}: ${wrong}`];
    }),
  );
  for (const door of doors) {
    if (!existsSync(join(root, door))) findings.push(`package.json: door to ${door}: no such file`);
  }
  return findings;
}

function folderOf(path: string): string {
  return path.split("/")[1] ?? "";
}

/** A room is a folder two levels below src/, or a file there; its door is the only way in. */
function roomOf(path: string): string {
  const [, folder = "", name = ""] = path.split("/");
  return `${folder}/${name.replace(/(\.test)?\.ts$/, "")}`;
}

function fault(one: Import, doors: ReadonlySet<string>, isTest: boolean): string | undefined {
  const from = folderOf(one.from);
  if (one.target === undefined) {
    if (pureFolders.includes(from) && !isTest && handsOfNode.includes(one.specifier)) {
      return "a pure room has no hands: take it as an argument";
    }
    return undefined;
  }
  if (one.target.startsWith("no-door/")) return "no such door in package.json";
  if (isTest) return undefined; // a test may look at anything; it is not part of a program
  if (!one.target.startsWith("src/")) return "leaves src/";
  if (one.specifier.startsWith("..") && roomOf(one.from) !== roomOf(one.target)) {
    return "leaves its room: use a door";
  }
  if (one.specifier.startsWith("#") && !doors.has(one.target)) return "not a door";
  return floorFault(one, from, folderOf(one.target));
}

function floorFault(one: Import, from: string, to: string): string | undefined {
  if (one.target === undefined || from === to) {
    const sameRoom = one.target !== undefined && roomOf(one.from) === roomOf(one.target);
    // Below floor 4 the files of a folder are one room each and may use each other downwards.
    if (from !== to || sameRoom || (floors[from] ?? 9) < 4 || (floors[from] ?? 9) > 4)
      return undefined;
    return "neighbours on floor 4 do not know each other";
  }
  const fromFloor = floors[from];
  const toFloor = floors[to];
  if (fromFloor === undefined || toFloor === undefined) return "a folder without a floor";
  if (one.typeOnly && typeExceptions.some(([a, b]) => a === from && b === to)) return undefined;
  if (toFloor > fromFloor) return `goes up: floor ${fromFloor} to ${toFloor}`;
  if (toFloor === fromFloor) return `neighbours on floor ${fromFloor} do not know each other`;
  return undefined;
}
