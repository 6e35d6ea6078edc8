/** What stands ready before a service starts its program: its settings and keys, in its hands. */

import { chmodSync } from "node:fs";
import { prepareEdgeSpool } from "#edge/smtp";
import type { UpFacts } from "../index.ts";
import { folderOf } from "../layout.ts";
import { givenConfig, prepare } from "../prepare.ts";
import type { ProgramName, Role } from "../roles.ts";
import { writeSettings } from "../supervisor.ts";
import { handOver, serviceUsers } from "../users.ts";

/** The hub's group may pass the keyring's folder to its socket, and list nothing there. */
const keyringFolderMode = 0o710;

/** Called as root while the program itself does not run. */
export async function prepareOne(
  name: ProgramName,
  place: { readonly role: Role; readonly data: string; readonly config?: string },
  facts: UpFacts,
  nowMs: number,
): Promise<void> {
  const given = givenConfig(place.data, place.config);
  const { layout, settings } = prepare({ ...place, given }, facts, nowMs);
  writeSettings(name, layout, settings);
  const edgeSmtp = name === "edge-smtp" ? settings["edge-smtp"] : undefined;
  if (edgeSmtp !== undefined) await prepareEdgeSpool(edgeSmtp);
  const own = folderOf(name, layout);
  if (process.getuid?.() === 0) handOver(own, layout.data, serviceUsers[name]);
  if (name === "keyring") chmodSync(own, keyringFolderMode);
}
