/** Puts the inside together: what is opened first, what needs what, and in which order it stops. */

import { join } from "node:path";
import { deliveryMeasures } from "#assurance/measures";
import { systemClock } from "#base/clock";
import { realDisk } from "#base/disk";
import type { Log } from "#base/log";
import { Registry } from "#base/measures";
import { systemRandom } from "#base/random";
import { connectKeyring } from "#contracts/keyring";
import { openDirectory } from "#directory";
import { openStore } from "#store";
import { startDoors } from "./doors.ts";
import { startEdges } from "./edges.ts";
import { hubEvents } from "./events.ts";
import type { Inside } from "./inside.ts";
import { startOutgoing } from "./outgoing.ts";
import type { HubSettings } from "./settings.ts";

export interface Hub extends AsyncDisposable {
  /** Resolves with the error when the store failed: then the process must end at once. */
  readonly failed: Promise<Error>;
}

/** @param announce what the supervisor waits for: "ready", "linked edge-smtp", "linked edge-web" */
export async function startHub(
  settings: HubSettings,
  log: Log,
  announce: (word: string) => void,
): Promise<Hub> {
  const registry = new Registry();
  const events = hubEvents(log, registry);
  const common = { clock: systemClock, random: systemRandom, log, registry };
  const store = await openStore({
    ...common,
    disk: realDisk,
    directory: join(settings.folder, "store"),
    indexPath: join(settings.folder, "store/index.sqlite"),
  });
  const directory = await openDirectory({
    ...common,
    people: store.people,
    limits: settings.directory,
  });
  const keyring = connectKeyring({ ...common, ...settings.keyring });
  const inside: Inside = {
    ...common,
    settings,
    events,
    measures: deliveryMeasures(registry),
    store,
    directory,
    keyring,
  };
  const edges = startEdges(inside, announce);
  const outgoing = startOutgoing(inside, edges);
  const doors = await startDoors(inside, edges, outgoing);
  announce("ready");
  return {
    failed: store.failed,
    async [Symbol.asyncDispose]() {
      await doors[Symbol.asyncDispose]();
      await outgoing[Symbol.asyncDispose]();
      await edges[Symbol.asyncDispose]();
      await keyring[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}
