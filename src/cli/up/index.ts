/** `postern up`: everything on this machine, from an empty folder to open doors. */

import { systemClock } from "#base/clock";
import { Misconfigured } from "#base/errors";
import type { Manifest } from "#contracts/manifest";
import { prepareEdgeSpool } from "#edge/smtp";
import { socketLock } from "#store";
import { type AdminClient, adminClient } from "../admin-client.ts";
import { ExitError, exitCodes, print, say } from "../exit.ts";
import { givenConfig, type Prepared, prepare } from "./prepare.ts";
import { folder } from "./secrets.ts";
import { endpointOf } from "./settings.ts";
import { removeReady, type Supervisor, superviseAll, writeReady } from "./supervisor.ts";
import { tryMessage } from "./try.ts";

export interface UpOptions {
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

/** Returns when it was told to stop. */
export async function up(options: UpOptions, facts: UpFacts): Promise<void> {
  const startedAtMs = systemClock.tickMs();
  const given = givenConfig(options.data, options.config);
  folder(options.data);
  // Before anything is touched: a second start must leave the first one's files alone.
  await using _lock = await onlyOne(options.data);
  const prepared = prepare(options.data, given, facts, systemClock.nowMs());
  const { layout } = prepared;
  removeReady(layout.ready);
  await prepareEdgeSpool(prepared.settings["edge-smtp"]);
  let readyAt: string | undefined;
  const supervisor: Supervisor = superviseAll({
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
  try {
    await Promise.race([
      supervisor.ready,
      stopped.then(() => {
        throw new ExitError(exitCodes.ok, "stopped before everything was up");
      }),
    ]);
    const admin = adminClient(options.data);
    await makePeople(prepared, admin);
    readyAt = new Date().toISOString();
    writeReady(layout.ready, readyFacts(readyAt));
    const seconds = ((systemClock.tickMs() - startedAtMs) / 1000).toFixed(1);
    say(`Postern ${facts.version} is up after ${seconds} s.`);
    await showDoors(prepared, admin, options.try === true);
    await stopped;
    say("Stopping ...");
  } finally {
    removeReady(layout.ready);
    await supervisor.stop();
  }
}

async function onlyOne(data: string): Promise<AsyncDisposable> {
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
  const { layout, config, demo } = prepared;
  const at = (text: string): object => endpointOf(text, "listen");
  return {
    version,
    readyAt,
    pids: supervisor.pids(),
    smtp: at(config.listen.smtp),
    submission: at(config.listen.submission),
    imap: at(config.listen.imap),
    https: { url: `https://${config.listen.https}` },
    console: { url: `http://${config.listen.console}`, token: prepared.consoleToken },
    ca: layout.siteAuthority,
    domain: prepared.domain,
    accounts: (demo?.accounts ?? []).map(({ address, password }) => ({ address, password })),
    storeDir: layout.store,
    edgeDir: layout.edge,
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
  const lines = [
    "",
    `Webmail     https://${config.listen.https}/`,
    ...(demo?.accounts ?? []).map(
      ({ address, password }) => `            ${address}   password ${password}`,
    ),
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
