/** Writes the pages that are made from code: `node_modules/.bin/node tools/make-docs.ts`; a test holds them current. */

import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { startFlags } from "#base/fence";
import type { Parameter, ParameterTable } from "#base/parameters";
import { type CommandFacts, commandList, configTables } from "#cli";
import type { Manifest } from "#contracts/manifest";
import { manifest as edgeSmtp } from "../programs/edge-smtp.ts";
import { manifest as edgeWeb } from "../programs/edge-web.ts";
import { manifest as hub } from "../programs/hub.ts";
import { manifest as keyring } from "../programs/keyring.ts";

const manifests: Readonly<Record<Manifest["name"], Manifest>> = {
  "edge-smtp": edgeSmtp,
  "edge-web": edgeWeb,
  hub,
  keyring,
};

/** Promised by the design and not there yet; one that appears leaves this list by itself. */
const promised: readonly (readonly [noun: string, verbs: string])[] = [
  ["", "setup edge scanner analyze"],
  ["check", "spf sender-id message domain"],
  ["dns", "check explain"],
  ["spf", "wizard show"],
  ["smime", "sign verify encrypt decrypt"],
  ["pki", "ca request issue revoke crl verify recover"],
  ["connector", "list"],
  ["policy", "show"],
  ["quarantine", "list"],
  ["allow", "list"],
  ["store", "scrub repair"],
  ["plan", "show rules verify"],
];

const made =
  "<!-- Made by `node_modules/.bin/node tools/make-docs.ts`; edit what it is made from. -->";

/** Path below the root to its text. */
export function makeDocs(): Readonly<Record<string, string>> {
  const facts = { application: "", version: "", manifests };
  return {
    "docs/processes.md": processesPage(Object.values(manifests)),
    "docs/configuration.md": configurationPage(),
    "docs/commands.md": commandsPage(commandList(facts)),
  };
}

function processesPage(all: readonly Manifest[]): string {
  const intro = `# Processes

${made}

\`postern up\` starts every program below as its own process, \`postern hub\` and \`postern edge\` those
of one machine; \`postern units\` makes a systemd service of each (docs/deployment.md). Each section is the program's manifest (programs/NAME.ts), which the start
flags and the reach check read too. FOLDER is the program's own folder, APP the code.`;
  return `${[intro, ...all.map(processSection)].join("\n\n")}\n`;
}

function processSection(manifest: Manifest): string {
  const list = (items: readonly string[]): string =>
    items.length === 0 ? "nothing" : items.join("; ");
  const rows: readonly (readonly [string, string])[] = [
    ["zone", manifest.zone === "dmz" ? "DMZ" : manifest.zone],
    ["trusts", manifest.trusts],
    ["listens", list(manifest.listens)],
    ["dials", list(manifest.dials)],
    ["reads", list(manifest.reads)],
    ["writes", list(manifest.writes)],
    ["secrets", list(manifest.secrets)],
    ["standards", manifest.standards.join(", ")],
    ["rooms above floor 3", manifest.mayReach.join(", ")],
  ];
  const flags = startFlags(manifest, { application: "APP", folder: "FOLDER" });
  return `## ${manifest.name}

It ${manifest.purpose}.

| | |
|---|---|
${rows.map(([name, value]) => `| ${name} | ${cell(value)} |`).join("\n")}

\`\`\`text
node ${flags.join("\n     ")}
     programs/${manifest.name}.ts --settings FOLDER/settings.json
\`\`\``;
}

function configurationPage(): string {
  const intro = `# Configuration

${made}

One TOML file, \`FOLDER/postern.toml\` or the one that \`--config\` names. Everything has a safe
default. \`postern config test\` says what is wrong and where; a change takes effect at the next start.

A file's name that does not begin with \`/\` begins in the hub's folder; those of \`[keyring]\` must
begin with it. \`postern config test\` opens each file that is in use, as the programs do: one that is
missing, cannot be read or holds something else is named with its line. What it cannot judge it says, and
goes on: a file that whoever calls it may not read, and one whose mode does not let the hub's user (the
owner of the hub's folder) read it. It does not read from pipes and devices, connects to nothing, and does
not load the library of a token.`;
  const sections = Object.entries(configTables).map(
    ([name, table]) => `## [${name}]

| parameter | default | bounds | meaning |
|---|---|---|---|
${Object.entries(table as ParameterTable)
  .map(parameterRow)
  .join("\n")}`,
  );
  return `${[intro, ...sections].join("\n\n")}\n`;
}

function parameterRow([key, parameter]: readonly [string, Parameter]): string {
  const { unit, min, max, oneOf } = parameter;
  const range =
    min === undefined && max === undefined ? [] : [`${min ?? ""} … ${max ?? ""}`.trim()];
  const unitWord = unit === undefined || unit === "count" ? [] : [unit];
  const bounds = [...range, ...unitWord, ...(oneOf ?? [])].join(" ");
  const value = JSON.stringify(parameter.default);
  return `| \`${key}\` | \`${value}\` | ${cell(bounds)} | ${cell(parameter.doc)} |`;
}

function commandsPage(commands: readonly CommandFacts[]): string {
  const there = new Set(commands.map(({ name }) => name));
  const missing = promised.flatMap(([noun, verbs]) =>
    verbs.split(" ").flatMap((verb) => {
      const name = `${noun} ${verb}`.trim();
      return there.has(name) ? [] : [`\`${name}\``];
    }),
  );
  const rows = commands.map(
    ({ name, usage, does, options }) =>
      `| \`${`${name} ${usage}`.trim()}\` | ${cell(does)} | ${options.map((one) => `\`${cell(one)}\``).join(" ")} |`,
  );
  return `# Commands

${made}

Every command takes \`--data FOLDER\` (default \`data\`), \`--config FILE\` and \`--json\`. The result goes
to standard output, everything else to standard error. Exit codes: 0 ok, 1 failed, 2 findings,
64 usage, 66 cannot open, 69 service down, 75 try again, 77 not permitted, 78 configuration.

| command | does | options |
|---|---|---|
${rows.join("\n")}

Not there yet, though the design names them: ${missing.join(", ")}.
`;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

if (import.meta.main) {
  const root = dirname(import.meta.dirname);
  for (const [path, text] of Object.entries(makeDocs())) writeFileSync(join(root, path), text);
}
