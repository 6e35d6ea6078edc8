/** Opens the files that a configuration names, as the programs would: nothing is made or changed. */

import { type Stats, statSync } from "node:fs";
import { errorCode } from "#base/disk";
import { Misconfigured, Unavailable } from "#base/errors";
import { type NamedFile, namedFiles } from "#hub";
import { readPrivateFile } from "#keys/custody";
import type { Layout } from "./layout.ts";
import type { AllSettings } from "./settings.ts";

/** A file, and the program that reads it: whoever owns that one's folder runs it. */
interface Opened extends NamedFile {
  readonly reader: "hub" | "keyring";
}

/**
 * @returns what an administrator should know that is no fault, each beginning with SECTION.KEY
 * @throws Misconfigured of the first that the program could not use, beginning with SECTION.KEY
 */
export function checkFiles(
  layout: Layout,
  { hub, keyring }: Partial<AllSettings>,
): readonly Misconfigured[] {
  const files: readonly Opened[] = [
    ...(hub === undefined ? [] : namedFiles(hub)).map((one) => ({
      ...one,
      reader: "hub" as const,
    })),
    ...(keyring?.master.token === undefined ? [] : tokenFiles(keyring.master.token)),
  ];
  return files.flatMap((one) => look(one, ownerOf(layout[one.reader]) ?? ownerOf(layout.data)));
}

const quietly = { throwIfNoEntry: false } as const;

type Owner = Pick<Stats, "uid" | "gid">;

/** Of a folder that we may not even look at: certainly not us. */
const stranger: Owner = { uid: -1, gid: -1 };

function ownerOf(folder: string): Owner | undefined {
  try {
    return statSync(folder, quietly);
  } catch {
    return stranger;
  }
}

function tokenFiles({ module, pinFile }: { module: string; pinFile?: string }): readonly Opened[] {
  const common = { reader: "keyring" as const };
  const library = { ...common, key: "keyring.tokenModule", files: [module], isSecret: false };
  // What it is only the token's own library can say, which is loaded by the keyring alone.
  const found: Opened = { ...library, read: () => statSync(module) };
  if (pinFile === undefined) return [found];
  const pin = { ...common, key: "keyring.tokenPinFile", files: [pinFile], isSecret: true };
  return [found, { ...pin, read: () => readPrivateFile(pinFile) }];
}

/** @param owner who runs the program that reads it; absent before the first start: we do */
function look(one: Opened, owner: Owner | undefined): readonly Misconfigured[] {
  const notes = one.files.flatMap((file) => notesOf(one, file, owner));
  // A pipe would hold us up, and what comes out of it is the program's.
  if ([...one.files, ...(one.besides ?? [])].some((file) => isNoFile(file))) return notes;
  try {
    one.read();
    return notes;
  } catch (error) {
    const isForeign = owner !== undefined && owner.uid !== process.geteuid?.();
    const code = errorCode(error) ?? errorCode((error as Error).cause);
    if (isForeign && (code === "EACCES" || code === "EPERM")) {
      return [fault(one, `${one.files.join(" and ")}: not looked at: you may not read it`)];
    }
    if (!(error instanceof Misconfigured || error instanceof Unavailable || code !== undefined)) {
      throw error;
    }
    throw fault(one, (error as Error).message + advice(one, code));
  }
}

function isNoFile(file: string): boolean {
  try {
    const stats = statSync(file, quietly);
    return stats !== undefined && !stats.isFile() && !stats.isDirectory();
  } catch {
    return false; // the reader says why
  }
}

function notesOf(
  { key, isSecret, reader }: Opened,
  file: string,
  owner: Owner | undefined,
): readonly Misconfigured[] {
  let stats: Stats | undefined;
  try {
    stats = statSync(file, quietly);
  } catch {
    return []; // the reader says why
  }
  if (stats === undefined || !stats.isFile()) return [];
  const note = (what: string): Misconfigured => new Misconfigured(`${key}: ${file} ${what}`);
  const isOpen = isSecret && (stats.mode & 0o004) !== 0;
  const isShut = owner !== undefined && owner !== stranger && !mayRead(stats, owner);
  return [
    ...(isOpen ? [note("can be read by everybody on this machine: chmod 600")] : []),
    ...(isShut
      ? [note(`is not for the user of the ${reader} (${owner.uid}) by its owner, group and mode`)]
      : []),
  ];
}

/** Root may read everything; an access list or another group of that user may say more. */
function mayRead(file: Stats, { uid, gid }: Owner): boolean {
  if (uid === 0) return true;
  if (file.uid === uid) return (file.mode & 0o400) !== 0;
  return (file.mode & (file.gid === gid ? 0o040 : 0o004)) !== 0;
}

/** What to do; where the program's own reader found the fault, it has said most of it. */
function advice({ isSecret }: Opened, code: string | undefined): string {
  if (code === "ENOENT") return ": put it there, or correct the name";
  if (code === "EACCES" || code === "EPERM") return ": let the program's user read it";
  return isSecret && code === undefined ? ": put it there alone, and chmod 600 the file" : "";
}

/** The readers of connectors name their key themselves. */
function fault({ key }: NamedFile, what: string): Misconfigured {
  const section = key.slice(0, key.lastIndexOf(".") + 1);
  return new Misconfigured(what.startsWith(section) ? what : `${key}: ${what}`);
}
