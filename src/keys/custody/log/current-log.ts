/** The log that is signed for now, and its end when an administrator begins another. */

import { rename } from "node:fs/promises";
import { type LogSigner, openLog } from "./log-keys.ts";

export interface CurrentLog extends LogSigner {
  /**
   * Ends the log of that name and begins another, with a name and keys of its own. The folder of the
   * old one stays beside the new one. Nothing happens when another log is in use already.
   */
  renew(name: string): Promise<void>;
}

/** @throws Misconfigured as `openLog` */
export async function openCurrentLog(directory: string, hostname: string): Promise<CurrentLog> {
  let log = await openLog(directory, hostname);
  let turn: Promise<unknown> = Promise.resolve();
  /** So that nothing of the old log is written where the new one is being made. */
  const inTurn = <Value>(work: () => Promise<Value>): Promise<Value> => {
    const done = turn.then(work);
    turn = done.catch(() => undefined);
    return done;
  };
  return {
    get keys() {
      return log.keys;
    },
    sign: (text) => inTurn(() => log.sign(text)),
    renew: (name) =>
      inTurn(async () => {
        if (name !== log.keys.name) return;
        // A power cut may take the rename back: then the old log goes on, and is ended again.
        await rename(directory, `${directory}-${name.slice(name.lastIndexOf("/") + 1)}`);
        log = await openLog(directory, hostname);
      }),
  };
}
