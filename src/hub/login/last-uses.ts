/** When app passwords were last used, to the hour: in a file, because the ledger would keep it for ever. */

import { readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { type Clock, sleep } from "#base/clock";
import { errorCode } from "#base/disk";
import type { Log } from "#base/log";
import type { OpenDirectory } from "#directory";
import type { AccountId } from "#model/mailbox";

export interface LastUsePorts {
  /** JSON; made with the first use. */
  readonly path: string;
  readonly clock: Clock;
  readonly log: Log;
}

type Use = readonly [account: AccountId, id: string, usedAtMs: number];

/** A phone signs in many times a day. */
const graceMs = 3_600_000;
/** Between two times that the file is written: thousands of phones come back at once. */
const restMs = 60_000;

/** The directory, whose app passwords have `usedAtMs`. A file that cannot be used costs only that. */
export function withLastUses(directory: OpenDirectory, ports: LastUsePorts): OpenDirectory {
  const uses = new LastUses(directory, ports);
  return {
    ...directory,
    async login(...attempt) {
      const outcome = await directory.login(...attempt);
      if (outcome.ok && outcome.appPassword !== undefined) {
        uses.used(outcome.person.id, outcome.appPassword);
      }
      return outcome;
    },
    factors: (account) =>
      directory.factors(account).map((one) => {
        const usedAtMs = one.kind === "app-password" ? uses.of(one.id) : undefined;
        return usedAtMs === undefined ? one : { ...one, usedAtMs };
      }),
  };
}

class LastUses {
  readonly #directory: Pick<OpenDirectory, "hasAppPassword">;
  readonly #ports: LastUsePorts;
  /** By the id of the app password. */
  readonly #uses: Map<string, Use>;
  #saving: Promise<void> = Promise.resolve();
  #isDue = false;

  constructor(directory: Pick<OpenDirectory, "hasAppPassword">, ports: LastUsePorts) {
    this.#directory = directory;
    this.#ports = ports;
    this.#uses = new Map(this.#read().map((use) => [use[1], use]));
  }

  of(id: string): number | undefined {
    return this.#uses.get(id)?.[2];
  }

  used(account: AccountId, id: string): void {
    const nowMs = this.#ports.clock.nowMs();
    // A clock that was set back is believed.
    if (Math.abs(nowMs - (this.of(id) ?? 0)) < graceMs) return;
    this.#uses.set(id, [account, id, nowMs]);
    if (this.#isDue) return;
    this.#isDue = true;
    this.#saving = this.#saving
      .then(() => this.#save())
      .catch((error) => this.#failed(error))
      .then(() => sleep(this.#ports.clock, restMs));
  }

  #read(): readonly Use[] {
    try {
      const read = JSON.parse(readFileSync(this.#ports.path, "utf8")) as unknown;
      if (Array.isArray(read) && read.every(isUse)) return read;
      this.#failed("not of ours");
    } catch (error) {
      if (errorCode(error) !== "ENOENT") this.#failed(error);
    }
    return [];
  }

  async #save(): Promise<void> {
    this.#isDue = false;
    for (const [account, id] of this.#uses.values()) {
      if (!this.#directory.hasAppPassword(account, id)) this.#uses.delete(id);
    }
    const { path } = this.#ports;
    await writeFile(`${path}.new`, JSON.stringify([...this.#uses.values()]), { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  #failed(error: unknown): void {
    this.#ports.log.write("warn", "login.last-uses", { error: String(error) });
  }
}

function isUse(value: unknown): value is Use {
  if (!Array.isArray(value) || value.length !== 3) return false;
  const [account, id, usedAtMs] = value as readonly unknown[];
  return typeof account === "string" && typeof id === "string" && Number.isSafeInteger(usedAtMs);
}
