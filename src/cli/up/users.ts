/** The programs of the DMZ get a user of their own where that can be: one more wall on one machine. */

import { chmodSync, lchownSync, lstatSync, readdirSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Manifest } from "#contracts/manifest";

/** Numbers nobody else has: below systemd's range of passing users (61184 to 65519). */
export const serviceUsers: Readonly<Record<Manifest["name"], number>> = {
  "edge-smtp": 61_110,
  "edge-web": 61_111,
  hub: 61_112,
  keyring: 61_113,
};

/**
 * The user that a program is to run as, or undefined for our own: only root may choose, and the
 * program must be able to read its code and reach its folder.
 */
export function userOf(
  name: Manifest["name"],
  application: string,
  data: string,
): number | undefined {
  // Here the hub and the keyring stay one user; as services they are two.
  if (!name.startsWith("edge-") || process.getuid?.() !== 0) return undefined;
  const uid = serviceUsers[name];
  const needed = [application, dirname(realpathSync(process.execPath)), dirname(data)];
  return needed.every(isOpenToAll) ? uid : undefined;
}

/** Every folder on the way may be entered by anybody. */
function isOpenToAll(path: string): boolean {
  const mayEnter = (statSync(path).mode & 0o001) !== 0;
  const parent = dirname(path);
  return mayEnter && (parent === path || isOpenToAll(parent));
}

/** Hands a program its folder; on the way to it others may pass, and see nothing. */
export function handOver(folder: string, data: string, uid: number): void {
  for (let path = dirname(folder); path.startsWith(data); path = dirname(path)) {
    chmodSync(path, 0o711);
  }
  give(folder, uid);
}

function give(path: string, uid: number): void {
  const facts = lstatSync(path);
  // A link is not followed: it may lead anywhere.
  if (facts.isSymbolicLink()) return;
  lchownSync(path, uid, uid);
  if (facts.isDirectory()) for (const name of readdirSync(path)) give(join(path, name), uid);
}
