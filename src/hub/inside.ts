/** What the files of the hub share once it is opened. */

import { readFileSync } from "node:fs";
import type { DeliveryMeasures } from "#assurance/measures";
import type { Clock } from "#base/clock";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { Random } from "#base/random";
import type { Keyring } from "#contracts/keyring";
import type { OpenDirectory } from "#directory";
import type { OpenStore } from "#store";
import type { MessageRoom } from "#transport/smtp-server";
import type { HubEvents } from "./events.ts";
import type { Gateways } from "./gateway/index.ts";
import type { LogSigner } from "./log-signer.ts";
import type { Reports } from "./reports/index.ts";
import type { HubSettings } from "./settings.ts";
import type { StoreMeasures } from "./store-events.ts";

/** What the hub's own files share; each takes the few it needs. */
export interface Inside {
  readonly settings: HubSettings;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly registry: Registry;
  /** What messages hold that come by a door of the hub, all doors together. */
  readonly room: MessageRoom;
  readonly events: HubEvents;
  readonly measures: DeliveryMeasures;
  readonly storeMeasures: StoreMeasures;
  readonly store: OpenStore;
  readonly directory: OpenDirectory;
  readonly gateways: Gateways;
  readonly keyring: Keyring;
  readonly signer: LogSigner;
  readonly reports: Reports;
}

/** A file of the hub's own folder, as text. */
export function readText(path: string): string {
  return readFileSync(path, "utf8");
}
