/** `postern up`, `hub`, `edge`: the programs of this machine, from a folder to open doors. */

import { type Stats, unwatchFile, watchFile } from "node:fs";
import { systemClock } from "#base/clock";
import { Misconfigured } from "#base/errors";
import type { Manifest } from "#contracts/manifest";
import { prepareEdgeSpool } from "#edge/smtp";
import { socketLock } from "#store";
import { type AdminClient, adminClient } from "../admin-client.ts";
import { ExitError, exitCodes, print, say } from "../exit.ts";
import { givenConfig, type Prepared, prepare } from "./prepare.ts";
import { hasEdge, hasInside, type Role } from "./roles.ts";
import { folder } from "./secrets.ts";
import { endpointOf } from "./settings.ts";
import { removeReady, type Supervisor, superviseAll, writeReady } from "./supervisor.ts";
import { tryMessage } from "./try.ts";

export interface UpOptions {
  readonly role: Role;
  readonly data: string;
  readonly config?: string;
  /** Sends one message and prints its trace. */
  readonly try?: boolean;
}

export interface UpFacts {
  readonly application: string;
  readonly version: string;
  readonly manifests: Readonly<Record<Manifest["name"], Manifest>>;
}

const lookForEdgesMs = 500;

/** Returns when it was told to stop. */
export async function up(options: UpOptions, facts: UpFacts): Promise<void> {
  const startedAtMs = systemClock.tickMs();
  const { role, data } = options;
  const place = { role, data, given: givenConfig(data, options.config) };
  folder(data);
  // Before anything is touched: a second start must leave the first one's files alone.
  await using _lock = await onlyOne(data);
  const prepared = prepare(place, facts, systemClock.nowMs());
  const { layout } = prepared;
  removeReady(layout.ready);
  const edgeSmtp = prepared.settings["edge-smtp"];
  if (edgeSmtp !== undefined) await prepareEdgeSpool(edgeSmtp);
  let readyAt: string | undefined;
  const supervisor: Supervisor = superviseAll({
    role,
    layout,
    application: facts.application,
    settings: prepared.settings,
    manifests: facts.manifests,
    clock: systemClock,
    onPids: () => {
      if (readyAt !== undefined) writeReady(layout.ready, readyFacts(readyAt));
    },
  });
  const readyFacts = (at: string): object => readyFile(prepared, supervisor, facts.version, at);
  const stopped = untilToldToStop();
  const renew = (now: Stats, before: Stats): void => {
    // It is also called for a file that is not there yet.
    if (now.mtimeMs === before.mtimeMs) return;
    try {
      supervisor.renew("hub", prepare(place, facts, systemClock.nowMs()).settings);
      say("The list of edges has changed: the hub starts again.");
    } catch (error) {
      say(`The list of edges has changed, and the hub goes on with the old one: ${String(error)}`);
    }
  };
  if (role === "inside") watchFile(layout.edges, { interval: lookForEdgesMs }, renew);
  try {
    await Promise.race([
      supervisor.ready,
      stopped.then(() => {
        throw new ExitError(exitCodes.ok, "stopped before everything was up");
      }),
    ]);
    const admin = adminClient(data);
    if (hasInside(role)) await makePeople(prepared, admin);
    readyAt = new Date().toISOString();
    writeReady(layout.ready, readyFacts(readyAt));
    const seconds = ((systemClock.tickMs() - startedAtMs) / 1000).toFixed(1);
    say(`Postern ${facts.version} is up after ${seconds} s.`);
    if (role === "all") await showDoors(prepared, admin, options.try === true);
    await stopped;
    say("Stopping ...");
  } finally {
    unwatchFile(layout.edges);
    removeReady(layout.ready);
    await supervisor.stop();
  }
}

export async function onlyOne(data: string): Promise<AsyncDisposable> {
  try {
    return await socketLock(data);
  } catch (error) {
    if (!(error instanceof Misconfigured)) throw error;
    const where = `${data}: Postern runs here already (postern status)`;
    throw new ExitError(exitCodes.configuration, where);
  }
}

function untilToldToStop(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.once(signal, () => resolve());
    }
  });
}

/** The first domain, and in a demonstration its accounts; what exists stays as it is. */
async function makePeople(prepared: Prepared, admin: AdminClient): Promise<void> {
  const domains = await admin.get<{ name: string }[]>("/domains");
  if (!domains.some(({ name }) => name === prepared.domain)) {
    await admin.send("POST", "/domains", { name: prepared.domain });
  }
  if (prepared.demo === undefined) return;
  const accounts = await admin.get<{ address: string }[]>("/accounts");
  for (const account of prepared.demo.accounts) {
    if (!accounts.some(({ address }) => address === account.address)) {
      await admin.send("POST", "/accounts", account);
    }
  }
}

function readyFile(
  prepared: Prepared,
  supervisor: Supervisor,
  version: string,
  readyAt: string,
): object {
  const { role, layout, config, demo } = prepared;
  const at = (text: string): object => endpointOf(text, "listen");
  return {
    version,
    readyAt,
    pids: supervisor.pids(),
    domain: prepared.domain,
    ...(hasEdge(role) && {
      smtp: at(config.listen.smtp),
      https: { url: `https://${config.listen.https}` },
      edgeDir: layout.edge,
    }),
    ...(hasInside(role) && {
      submission: at(config.listen.submission),
      imap: at(config.listen.imap),
      console: { url: `http://${config.listen.console}`, token: prepared.consoleToken },
      ca: layout.siteAuthority,
      accounts: (demo?.accounts ?? []).map(({ address, password }) => ({ address, password })),
      storeDir: layout.store,
    }),
  };
}

async function showDoors(prepared: Prepared, admin: AdminClient, tries: boolean): Promise<void> {
  const { config, demo, layout, consoleToken } = prepared;
  const recipient = demo?.accounts[0];
  if (tries && recipient !== undefined) {
    const smtp = endpointOf(config.listen.smtp, "listen.smtp");
    const tried = await tryMessage(smtp, recipient.address, admin, systemClock);
    if ("trace" in tried) print(`\nOne message, from the edge to the mailbox:\n\n${tried.trace}`);
    else say(`The trial message did not go through: ${tried.fault}`);
  }
  const isEmpty = (await admin.get<unknown[]>("/accounts")).length === 0;
  const lines = [
    "",
    `Webmail     https://${config.listen.https}/`,
    ...(demo?.accounts ?? []).map(
      ({ address, password }) => `            ${address}   password ${password}`,
    ),
    ...(isEmpty
      ? [
          `            no account yet: echo PASSWORD | ./postern account add NAME@${prepared.domain}`,
        ]
      : []),
    `IMAP        ${config.listen.imap} (TLS)`,
    `Submission  ${config.listen.submission} (TLS)`,
    `SMTP        ${config.listen.smtp}`,
    `Console     http://${config.listen.console}/?token=${consoleToken}`,
    `Authority   ${layout.siteAuthority} (signed the certificates; import it to avoid warnings)`,
    `Facts       ${layout.ready}`,
    `Logs        ${layout.logs}`,
    `Try         swaks --server ${config.listen.smtp} --to ${recipient?.address ?? `someone@${prepared.domain}`} --from me@localhost`,
    `            ./postern --help`,
    "",
    "Ctrl-C stops it.",
  ];
  print(lines.join("\n"));
}
