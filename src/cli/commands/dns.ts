/** `postern dns show`: the records that a domain needs, each with its reason. */

import type { Command } from "commander";
import { adminClient } from "../admin-client.ts";
import { ExitError, exitCodes } from "../exit.ts";
import { textTable } from "../table.ts";
import { dataOf, output } from "./shared.ts";

interface DkimRecord {
  readonly name: string;
  readonly text: string;
  readonly strings: readonly string[];
}

interface DnsRow {
  readonly type: string;
  readonly name: string;
  readonly value: string;
  readonly why: string;
}

export function addDnsCommands(program: Command): void {
  const dns = program.command("dns").description("DNS records to publish");
  dns
    .command("show <domain>")
    .description("the records of a domain, and why each")
    .option("--zone", "as lines of a zone file")
    .action(async (domain: string, options: { zone?: boolean }, command: Command) => {
      const client = adminClient(dataOf(command));
      const ours = await client.get<{ name: string }[]>("/domains");
      if (!ours.some(({ name }) => name === domain.toLowerCase())) {
        const what = `${domain} is not one of our domains: postern domain add ${domain}`;
        throw new ExitError(exitCodes.cannotOpen, what);
      }
      const path = `/domains/${encodeURIComponent(domain)}/dkim`;
      const keys = await client.get<DkimRecord[]>(path);
      const { hostname } = await client.get<{ hostname: string }>("/status");
      const rows = [...mailRows(hostname), ...keys.map((key) => dkimRow(key, domain))];
      output(command, rows, () =>
        options.zone === true ? zoneText(domain, rows) : tableText(rows),
      );
    });
}

function mailRows(hostname: string): DnsRow[] {
  return [
    { type: "MX", name: "@", value: `10 ${hostname}.`, why: "where mail for the domain goes" },
    { type: "TXT", name: "@", value: "v=spf1 mx -all", why: "SPF: only these servers send as us" },
    {
      type: "TXT",
      name: "_dmarc",
      value: "v=DMARC1; p=none",
      why: "DMARC: begin by watching; raise to quarantine, then reject",
    },
  ];
}

function dkimRow(key: DkimRecord, domain: string): DnsRow {
  const name = key.name.endsWith(`.${domain}`) ? key.name.slice(0, -domain.length - 1) : key.name;
  return { type: "TXT", name, value: key.text, why: "DKIM: checks our signatures" };
}

/** The values stand last: a DKIM key is longer than any terminal is wide. */
function tableText(rows: readonly DnsRow[]): string {
  const shown = rows.map((row) => [row.type, row.name, row.why, row.value]);
  return textTable([["type", "name", "why", "value"], ...shown]);
}

/** RFC 1035 §5.1; a character string holds at most 255 octets. */
function zoneText(domain: string, rows: readonly DnsRow[]): string {
  const lines = rows.flatMap((row) => {
    const pieces = row.value.match(/.{1,255}/gs) ?? [];
    const value = row.type === "TXT" ? pieces.map((piece) => `"${piece}"`).join(" ") : row.value;
    return [`; ${row.why}`, `${row.name} IN ${row.type} ${value}`];
  });
  return [`$ORIGIN ${domain}.`, "$TTL 300", ...lines].join("\n");
}
