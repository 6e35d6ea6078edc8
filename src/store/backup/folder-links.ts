/** Keeps a backup folder to itself: whoever may write there must not lead us elsewhere. */

import { lstat, stat } from "node:fs/promises";
import { join } from "node:path";
import { errorCode } from "#base/disk";

/**
 * Rejects as a system would (ELOOP, ENOENT for the root) unless all below the root is plain.
 *
 * @param name of an object or folder that need not be there; "" for the root alone
 */
export type LinkGuard = (root: string, name: string) => Promise<void>;

/** The root itself may be a link: the administrator has chosen it. */
export const refuseLinks: LinkGuard = async (root, name) => {
  await stat(root); // ENOENT here means that the root is missing, not the object
  let path = root;
  for (const word of name.split("/").filter((word) => word !== "")) {
    path = join(path, word);
    try {
      const found = await lstat(path);
      if (found.isSymbolicLink()) throw Object.assign(new Error(path), { code: "ELOOP" });
    } catch (error) {
      if (errorCode(error) === "ENOENT") return;
      throw error;
    }
  }
};
