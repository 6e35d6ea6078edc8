/** `postern pki`: certificates that the doors serve, where they come from, and what is wrong with them. */

import type { Command } from "commander";
import { adminClient } from "../admin-client.ts";
import { ExitError, exitCodes, say } from "../exit.ts";
import { localTime, textTable } from "../table.ts";
import { textOf } from "./pki-file.ts";
import { addPkiProbe } from "./pki-probe.ts";
import { addPkiRoot } from "./pki-root.ts";
import { addPkiTrust } from "./pki-trust.ts";
import { dataOf, longMs, output } from "./shared.ts";

const examples = `
Examples:
  postern pki show                      what each door serves, and what is wrong with it
  postern pki acme --now                order from the ACME server of the configuration
  postern pki request > mail.csr        for an authority that sells certificates, then
  postern pki install mail.pem          (docs/certificates.md)
  postern pki probe mail.example.org:443
  postern pki root --format mobileconfig > root.mobileconfig`;

interface Finding {
  readonly level: "critical" | "warning" | "note";
  readonly code: string;
  readonly text: string;
}

interface PlaceFacts {
  readonly place: string;
  readonly wantedNames: readonly string[];
  readonly served?: {
    readonly names: string;
    readonly issuer: string;
    readonly notAfterMs: number;
    readonly daysLeft: number;
    readonly chain: readonly string[];
  };
  readonly findings: readonly Finding[];
}

interface Attempt {
  readonly place: string;
  readonly outcome: string;
  readonly why: string;
  readonly againAtMs?: number;
}

interface PkiState {
  readonly places: readonly PlaceFacts[];
  readonly acme?: { readonly directory: string; readonly attempts: readonly Attempt[] };
}

interface Installed {
  readonly place: string;
  readonly ok: boolean;
  readonly why: string;
}

export function addPkiCommands(program: Command): void {
  const pki = program
    .command("pki")
    .description("certificates: show, order, request, install, trust")
    .addHelpText("after", examples);
  addShow(pki);
  addRequest(pki);
  addInstall(pki);
  addAcme(pki);
  addPkiTrust(pki);
  addPkiRoot(pki);
  addPkiProbe(pki);
}

function addShow(pki: Command): void {
  pki
    .command("show")
    .description("what each door serves: names, issuer, expiry, chain, findings")
    .action(async (_options: object, command: Command) => {
      const state = await adminClient(dataOf(command)).get<PkiState>("/pki");
      output(command, state, () => state.places.map(placeText).join("\n\n"));
      const worst = state.places.flatMap(({ findings }) => findings);
      if (worst.some(({ level }) => level !== "note")) process.exitCode = exitCodes.findings;
    });
}

function placeText({ place, wantedNames, served, findings }: PlaceFacts): string {
  const facts =
    served === undefined
      ? []
      : [
          ["names", served.names],
          ["issuer", served.issuer],
          ["expires", `${localTime(served.notAfterMs)}, in ${served.daysLeft} days`],
          ["chain", served.chain.join(" < ")],
        ];
  const rows = [
    ["clients use", wantedNames.join(", ")],
    ...facts,
    ...findings.map(({ level, text }) => [level, text]),
  ];
  return `${place}\n${textTable(rows.map(([name = "", value = ""]) => [" ", name, value]))}`;
}

const placeList = "edge-web, edge-smtp, hub or all";

function addRequest(pki: Command): void {
  pki
    .command("request")
    .description("a PKCS #10 request with all published names, on standard output")
    .option("--names <names>", "these names instead, with commas between them")
    .option("--at <place>", `where the key is made and stays: ${placeList}`, "all")
    .action(async (options: { names?: string; at: string }, command: Command) => {
      if (!placeList.split(/, | or /).includes(options.at)) {
        throw new ExitError(exitCodes.usage, `--at "${options.at}" is not one of ${placeList}`);
      }
      const names = options.names?.split(",").map((name) => name.trim().toLowerCase());
      const wrong = names?.find((name) => !/^[a-z0-9*](?:[a-z0-9.:-]*[a-z0-9])?$/.test(name));
      if (wrong !== undefined) {
        throw new ExitError(exitCodes.usage, `--names: "${wrong}" is not a host name`);
      }
      const wish = { at: options.at, ...(names !== undefined && { names }) };
      const client = adminClient(dataOf(command));
      const made = await client.send<{ names: string[]; requestPem: string }>(
        "POST",
        "/pki/request",
        wish,
      );
      output(command, made, () => made.requestPem);
      say(`For ${made.names.join(", ")}. When the certificate is there: postern pki install FILE`);
      if (options.at === "all") say(oneForAll);
    });
}

const oneForAll = `One certificate for every door: the edges then hold the key of the inside names, too, and
whoever takes an edge can pretend to be IMAP and submission. "pki request --at PLACE", once for
each of edge-web, edge-smtp and hub, keeps them apart.`;

function addInstall(pki: Command): void {
  pki
    .command("install <certificate> [key]")
    .description("serve a certificate (PEM, its chain behind it); with its key at every door")
    .action(async (...[chainFile, keyFile, , command]: [string, string?, object?, Command?]) => {
      if (command === undefined) return;
      const chainPem = textOf(chainFile);
      const wish = { chainPem, ...(keyFile !== undefined && { keyPem: textOf(keyFile) }) };
      if (keyFile !== undefined) say(oneForAll);
      const client = adminClient(dataOf(command));
      const outcomes = await client.send<Installed[]>("POST", "/pki/install", wish);
      output(command, outcomes, () => textTable(outcomes.map(outcomeRow)));
      const isDone =
        keyFile === undefined ? outcomes.some(({ ok }) => ok) : outcomes.every(({ ok }) => ok);
      if (!isDone) process.exitCode = exitCodes.failed;
      else say("What is left to do: postern pki show");
    });
}

function outcomeRow({ place, ok, why }: Installed): readonly string[] {
  const words = why.startsWith(`${place}: `) ? why.slice(place.length + 2) : why;
  return [place, ok ? "installed" : "refused", words];
}

function addAcme(pki: Command): void {
  pki
    .command("acme")
    .description("what came of the orders at the ACME server; --now orders what is due")
    .option("--now", "look at once, whatever failed lately")
    .option("--all", "order for every door, due or not: after a key leaked")
    .option("--new-account", "open another account there: after the old one was deactivated")
    .action(
      async (options: { now?: boolean; all?: boolean; newAccount?: boolean }, command: Command) => {
        const client = adminClient(dataOf(command), longMs);
        const { now, ...wish } = options;
        const isOrder = now === true || Object.keys(wish).length > 0;
        const attempts = isOrder
          ? await client.send<Attempt[]>("POST", "/pki/acme", wish)
          : attemptsOf(await client.get<PkiState>("/pki"));
        output(command, attempts, () =>
          attempts.length === 0
            ? "nothing was looked at since the start (--now looks)"
            : textTable(attempts.map(attemptRow)),
        );
        if (attempts.some(({ outcome }) => outcome === "failed")) {
          process.exitCode = exitCodes.findings;
        }
      },
    );
}

function attemptsOf({ acme }: PkiState): readonly Attempt[] {
  if (acme !== undefined) return acme.attempts;
  throw new ExitError(exitCodes.configuration, "acme.directory is not set (docs/certificates.md)");
}

function attemptRow({ place, outcome, why, againAtMs }: Attempt): readonly string[] {
  return [place, outcome, againAtMs === undefined ? "" : `again ${localTime(againAtMs)}`, why];
}
