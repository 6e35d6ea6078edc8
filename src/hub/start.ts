/** Puts the inside together: what is opened first, what needs what, and in which order it stops. */

import { join } from "node:path";
import { deliveryMeasures } from "#assurance/measures";
import { systemClock } from "#base/clock";
import { realDisk } from "#base/disk";
import { Unavailable } from "#base/errors";
import type { Log } from "#base/log";
import { Registry } from "#base/measures";
import type { Endpoint } from "#base/net";
import { systemRandom } from "#base/random";
import { connectKeyring, type Keyring } from "#contracts/keyring";
import { openDirectory } from "#directory";
import { openStore } from "#store";
import { readConnectorFiles } from "#transport/connectors";
import { messageRoom } from "#transport/smtp-server";
import { backupEvents } from "./backup-events.ts";
import { type Backups, completeBackupSettings, startBackups } from "./backups.ts";
import { startDoors } from "./doors.ts";
import { type Edges, startEdges } from "./edges.ts";
import { dialThroughEdge, resolverThroughEdge } from "./egress.ts";
import { hubEvents } from "./events.ts";
import { addGatewayDomains, openGateways } from "./gateway/open.ts";
import type { Inside } from "./inside.ts";
import { startHistory } from "./ledger-history.ts";
import { logSigner } from "./log-signer.ts";
import { withLastUses } from "./login/index.ts";
import { type Maintenance, startMaintenance } from "./maintenance.ts";
import { maintenanceEvents } from "./maintenance-events.ts";
import { type Outgoing, startOutgoing } from "./outgoing.ts";
import {
  completeReportSettings,
  openReports,
  type ReportPorts,
  type Reports,
} from "./reports/index.ts";
import type { HubSettings } from "./settings.ts";
import { storeMeasures } from "./store-events.ts";

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
  const inside = await openInside(settings, log);
  const { store, keyring } = inside;
  const edges = startEdges(inside, announce);
  const history = startHistory(inside, edges);
  const outgoing = startOutgoing(inside, edges);
  beginReports(inside, edges, outgoing);
  const maintenance = maintenanceOf(inside);
  const backups = backupsOf(inside);
  const keeping = { maintenance, history, backups };
  const doors = await startDoors(inside, edges, outgoing, keeping);
  announce("ready");
  return {
    failed: store.failed,
    async [Symbol.asyncDispose]() {
      maintenance[Symbol.dispose]();
      await backups[Symbol.asyncDispose]();
      await doors[Symbol.asyncDispose]();
      await inside.reports[Symbol.asyncDispose]();
      await outgoing[Symbol.asyncDispose]();
      await history[Symbol.asyncDispose]();
      await edges[Symbol.asyncDispose]();
      await inside.gateways[Symbol.asyncDispose]();
      await keyring[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

/** Of the largest size; many more of the usual one. */
const messagesAtOnce = 4;

async function openInside(given: HubSettings, log: Log): Promise<Inside> {
  const settings = { ...given, outbound: given.outbound.map(readConnectorFiles) };
  const registry = new Registry();
  const events = hubEvents(log, registry);
  const measured = storeMeasures(registry);
  const common = { clock: systemClock, random: systemRandom, log, registry };
  const keyring = connectKeyring({ ...common, ...settings.keyring });
  const store = await openStore({
    ...common,
    events: measured,
    master: await answering(keyring),
    disk: realDisk,
    directory: join(settings.folder, "store"),
    indexPath: join(settings.folder, "store/index.sqlite"),
  });
  const opened = await openDirectory({
    ...common,
    people: store.people,
    factors: store.factors,
    limits: settings.directory,
    needsSecondFactor: settings.login.requireSecondFactor,
    gatewayDomains: settings.gateways.flatMap(({ domains }) => domains),
  });
  const path = join(settings.folder, "app-password-uses.json");
  const directory = withLastUses(opened, { ...common, path });
  const gateways = openGateways(settings, common);
  await addGatewayDomains(gateways.domains, directory, keyring);
  return {
    ...common,
    room: messageRoom(messagesAtOnce * settings.smtp.maxMessageBytes),
    settings,
    events,
    measures: deliveryMeasures(registry),
    storeMeasures: measured,
    store,
    directory,
    gateways,
    keyring,
    signer: await logSigner(keyring),
    reports: reportsOf(settings, { ...common, store }),
  };
}

function reportsOf({ folder, reports, domain }: HubSettings, ports: ReportParts): Reports {
  return openReports({ ...ports, folder, settings: completeReportSettings(reports, domain) });
}

type ReportParts = Omit<ReportPorts, "folder" | "settings">;

function beginReports({ reports, clock }: Inside, edges: Edges, { sendOwn }: Outgoing): void {
  const resolver = resolverThroughEdge(() => edges.smtp.forKind("resolve"), clock);
  const dial = (to: Endpoint, timeoutMs: number) =>
    dialThroughEdge(edges.smtp.forKind("dial"), to, timeoutMs, clock);
  reports.begin({ resolver, sendOwn, dial });
}

function maintenanceOf(inside: Inside): Maintenance {
  const { settings, log, registry } = inside;
  const events = maintenanceEvents(log, registry);
  return startMaintenance({ ...inside, events, settings: settings.store });
}

function backupsOf(inside: Inside): Backups {
  const { settings, log, registry } = inside;
  return startBackups({
    ...inside,
    events: backupEvents(log, registry),
    settings: completeBackupSettings(settings.backup, settings.folder),
  });
}

const keyringPatienceMs = 10_000;
const askAgainMs = 200;

/** The keyring, once it answers: both programs start at the same moment. */
async function answering(keyring: Keyring): Promise<Keyring> {
  for (let waitedMs = 0; ; waitedMs += askAgainMs) {
    try {
      await keyring.masterIds();
      return keyring;
    } catch (error) {
      if (!(error instanceof Unavailable) || waitedMs >= keyringPatienceMs) throw error;
      await new Promise((resolve) => void systemClock.after(askAgainMs, () => resolve(undefined)));
    }
  }
}
