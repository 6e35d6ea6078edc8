/** Imports go down, neighbours do not know each other, pure rooms have no hands, doors are used. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { floors, handsOfNode, neighbourExceptions, pureFolders, typeExceptions } from "./house.ts";
import { doorsOf, filesBelow, type Import, importsOf } from "./imports.ts";

export function checkFloors(root: string): string[] {
  const doors = new Set(Object.values(doorsOf(root)).map((path) => path.replace(/^\.\//, "")));
  const rooms = roomsOf(doors);
  // A test may look at anything: it is not part of a program.
  const files = filesBelow(root, "src").filter((file) => !file.endsWith(".test.ts"));
  const findings = files.flatMap((file) =>
    importsOf(root, file).flatMap((one) => {
      const wrong = fault(one, rooms, doors);
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

type Rooms = (path: string) => string;

/**
 * A door opens a room: the folder of its index, or the file itself with the folder of its name. What
 * lies behind no door of its own belongs to the folder below src/.
 */
function roomsOf(doors: ReadonlySet<string>): Rooms {
  const rooms = [...doors]
    .map((door) => door.replace(/(\/index)?\.ts$/, ""))
    .sort((a, b) => b.length - a.length);
  return (path) => {
    const stem = path.replace(/\.ts$/, "");
    const room = rooms.find((one) => stem === one || stem.startsWith(`${one}/`));
    return room ?? `src/${folderOf(path)}`;
  };
}

function fault(one: Import, rooms: Rooms, doors: ReadonlySet<string>): string | undefined {
  const from = folderOf(one.from);
  if (one.target === undefined) {
    const hands = pureFolders.includes(from) && handsOfNode.includes(one.specifier);
    return hands ? "a pure room has no hands: take it as an argument" : undefined;
  }
  if (one.target.startsWith("no-door/")) return "no such door in package.json";
  if (!one.target.startsWith("src/")) return "leaves src/";
  if (one.specifier.startsWith("#") && !doors.has(one.target)) return "not a door";
  const fromRoom = rooms(one.from);
  const toRoom = rooms(one.target);
  if (fromRoom === toRoom) return undefined;
  if (one.specifier.startsWith("..")) return "leaves its room: use a door";
  return floorFault(one, [fromRoom, toRoom], [from, folderOf(one.target)]);
}

function floorFault(
  one: Import,
  rooms: readonly [from: string, to: string],
  [from, to]: readonly [from: string, to: string],
): string | undefined {
  const fromFloor = floors[from];
  const toFloor = floors[to];
  if (fromFloor === undefined || toFloor === undefined) return "a folder without a floor";
  if (one.typeOnly && typeExceptions.some(([a, b]) => a === from && b === to)) return undefined;
  if (toFloor > fromFloor) return `goes up: floor ${fromFloor} to ${toFloor}`;
  // Below floor 4 and above it the rooms of one folder build on each other.
  if (toFloor === fromFloor && (from !== to || fromFloor === 4) && !isException(...rooms)) {
    return `neighbours on floor ${fromFloor} do not know each other`;
  }
  return undefined;
}

function isException(from: string, to: string): boolean {
  return neighbourExceptions.some(([a, b]) => `src/${a}` === from && `src/${b}` === to);
}
