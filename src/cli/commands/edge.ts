/** `postern edge`: the machine of the DMZ, and how it and the inside come to know each other. */

import type { Command } from "commander";
import { ExitError, exitCodes, print, say } from "../exit.ts";
import { textTable } from "../table.ts";
import { enrolHere } from "../up/enrolment/enrol-here.ts";
import { inviteFrom } from "../up/enrolment/invite-from.ts";
import { type EnrolledEdge, readEdges, writeEdges } from "../up/enrolment/records.ts";
import type { UpFacts } from "../up/index.ts";
import { type Layout, layoutOf } from "../up/layout.ts";
import { fingerprintOf } from "../up/link-identity.ts";
import { runRole } from "./hub.ts";
import { dataOf, output, untilInterrupted } from "./shared.ts";

const examples = `
An edge on a machine of its own (docs/deployment.md):
  inside   postern edge invite dmz1 --address 192.0.2.10   prints a token, and waits
  edge     postern edge enrol TOKEN                         within a quarter of an hour
  edge     postern edge                                     starts it
To replace it: postern edge remove dmz1, then the same again.`;

export function addEdgeCommands(program: Command, facts: UpFacts): void {
  const edge = program
    .command("edge")
    .description("the machine of the DMZ: mail edge and web edge")
    .addHelpText("after", examples);
  edge
    .command("run", { isDefault: true })
    .description("start them on this machine, until Ctrl-C")
    .action((_options, command: Command) => runRole("edge", command, facts));
  edge
    .command("invite <name>")
    .description("inside: print a token for a new edge, and dial it until it is enrolled")
    .requiredOption("--address <host>", "name or address at which the inside reaches the edge")
    .option("--smtp-link <port>", "port of the mail edge's link", "2526")
    .option("--web-link <port>", "port of the web edge's link", "2527")
    .option("--minutes <count>", "how long the token is good, at most 60", "15")
    .action((name: string, options: InviteOptions, command: Command) =>
      invite(nameOf(name), options, placeOf(command), facts),
    );
  edge
    .command("enrol <token>")
    .description("edge: make keys here, and wait for the inside to dial")
    .option("--replace", "even when this machine was enrolled before")
    .action(async (token: string, options: { replace?: boolean }, command: Command) => {
      const place = placeOf(command);
      const { name, hostname } = await enrolHere(token, place, options.replace === true, say);
      say(`This machine is the edge "${name}" of ${hostname}. Start it: postern edge`);
    });
  edge
    .command("list")
    .description("inside: the edges that are enrolled")
    .action((_options, command: Command) => {
      const edges = readEdges(layoutOf(dataOf(command)));
      output(command, edges.map(factsOf), () =>
        edges.length === 0 ? "no edge is enrolled" : edgesText(edges),
      );
    });
  edge
    .command("remove <name>")
    .description("inside: never dial this edge again")
    .action((name: string, _options, command: Command) => {
      remove(name, layoutOf(dataOf(command)));
      output(command, { removed: name }, () => `${name} is no edge any more`);
    });
}

interface Place {
  readonly data: string;
  readonly config?: string;
}

function placeOf(command: Command): Place {
  const { config } = command.optsWithGlobals<{ config?: string }>();
  return { data: dataOf(command), ...(config !== undefined && { config }) };
}

async function invite(
  name: string,
  options: InviteOptions,
  place: Place,
  facts: UpFacts,
): Promise<void> {
  const minutes = minutesOf(options.minutes);
  const plan = {
    ...{ name, ...place, minutes, address: addressOf(options.address) },
    smtpPort: portOf(options.smtpLink),
    webPort: portOf(options.webLink),
    signal: untilInterrupted(),
  };
  await inviteFrom(plan, facts, {
    onToken: (token) => {
      print(token);
      say(`On the edge, within ${minutes} minutes: postern edge enrol TOKEN`);
    },
    onTrouble: (why) => say(`Not yet: ${why}`),
  });
  say(`${name} is enrolled. "postern hub" takes it up by itself; with systemd:`);
  say("systemctl restart postern-hub");
}

function remove(name: string, layout: Layout): void {
  const edges = readEdges(layout);
  const left = edges.filter((one) => one.name !== name);
  if (left.length === edges.length) {
    throw new ExitError(exitCodes.cannotOpen, `no edge "${name}" is enrolled`);
  }
  writeEdges(layout, left);
}

interface InviteOptions {
  readonly address: string;
  readonly smtpLink: string;
  readonly webLink: string;
  readonly minutes: string;
}

function nameOf(text: string): string {
  if (/^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/.test(text)) return text;
  throw new ExitError(exitCodes.usage, `"${text}": small letters, digits and hyphens only`);
}

function addressOf(text: string): string {
  if (/^[A-Za-z0-9.:_-]{1,253}$/.test(text)) return text;
  throw new ExitError(exitCodes.usage, `--address "${text}" is no host name and no address`);
}

function portOf(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw new ExitError(exitCodes.usage, `"${text}" is no port`);
}

function minutesOf(text: string): number {
  const minutes = Number(text);
  if (/^\d{1,2}(?:\.\d{1,3})?$/.test(text) && minutes > 0 && minutes <= 60) return minutes;
  throw new ExitError(exitCodes.usage, `--minutes "${text}" is not between 0 and 60`);
}

function factsOf({ name, address, enrolledAt, smtp, web }: EnrolledEdge): object {
  const end = ({ port, certificatePem }: EnrolledEdge["smtp"]): object => ({
    port,
    fingerprint: fingerprintOf(certificatePem),
  });
  return { name, address, enrolledAt, smtp: end(smtp), web: end(web) };
}

function edgesText(edges: readonly EnrolledEdge[]): string {
  return textTable(
    edges.flatMap(({ name, address, enrolledAt, smtp, web }) => [
      [name, `${address}:${smtp.port}`, "mail", fingerprintOf(smtp.certificatePem)],
      [
        `since ${enrolledAt.slice(0, 10)}`,
        `${address}:${web.port}`,
        "web",
        fingerprintOf(web.certificatePem),
      ],
    ]),
  );
}
