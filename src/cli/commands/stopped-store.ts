/** The store of an installation, whether it runs, and how it is opened while it does not. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { systemClock } from "#base/clock";
import { realDisk } from "#base/disk";
import { Misconfigured } from "#base/errors";
import { systemRandom } from "#base/random";
import { type OpenMaster, openMaster } from "#keys/custody";
import { type StoppedParts, socketLock } from "#store";
import { complete } from "../config/read.ts";
import { ExitError, exitCodes } from "../exit.ts";
import { layoutOf } from "../up/layout.ts";
import { ownMasterSettings } from "../up/master.ts";
import { givenConfig } from "../up/prepare.ts";
import { dataOf } from "./shared.ts";

export function storeFolder(command: Command): string {
  const { store } = layoutOf(dataOf(command));
  if (!existsSync(store))
    throw new ExitError(exitCodes.cannotOpen, `${store}: there is no store here`);
  return store;
}

/** Opens the master key's source itself: the keyring may be stopped. */
export function masterOf(command: Command): Promise<OpenMaster> {
  const data = dataOf(command);
  const config = complete(givenConfig(data, undefined));
  return openMaster(ownMasterSettings(layoutOf(data), config));
}

/** Somebody has the store open: the hub, unless it is another command. */
export async function isRunning(command: Command): Promise<boolean> {
  try {
    await (await socketLock(storeFolder(command)))[Symbol.asyncDispose]();
    return false;
  } catch (error) {
    if (error instanceof Misconfigured) return true;
    throw error;
  }
}

export async function stoppedStore(directory: string): Promise<AsyncDisposable> {
  try {
    return await socketLock(directory);
  } catch (error) {
    if (!(error instanceof Misconfigured)) throw error;
    throw new ExitError(exitCodes.tryAgain, `${directory} is in use: stop Postern first`);
  }
}

/** What opens the store as the hub would. */
export function partsOf(command: Command, master: OpenMaster): StoppedParts {
  const directory = storeFolder(command);
  const indexPath = join(directory, "index.sqlite");
  return { disk: realDisk, clock: systemClock, random: systemRandom, directory, indexPath, master };
}
