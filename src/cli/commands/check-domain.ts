/** `postern check domain`: what the world sees of a domain's mail. */

import type { Command } from "commander";
import { wrapText } from "#identity/spf-advice";
import { adminClient } from "../admin-client.ts";
import { checkDomain } from "../dns-domain.ts";
import type { DomainFinding } from "../dns-finding.ts";
import { dnsName, domainArgument } from "../dns-name.ts";
import { ExitError, exitCodes } from "../exit.ts";
import { resolverOf } from "./check-shared.ts";
import { dataOf, output } from "./shared.ts";

const examples = `
Examples:
  postern check domain example.org                     one of ours: its DKIM keys too
  postern check domain example.net --selector 2026a    anybody's; s= of a DKIM-Signature
  postern check domain example.net --dns 192.0.2.53:53

Where mail to the domain would leave from here, "sending" tells what TLS it would have to meet, by
DANE, MTA-STS and our connectors (docs/tls.md).

Exit code 2 when something is wrong, 75 when the DNS did not answer. --json has every finding with
area, level (ok, note, warn, bad, unknown), text and advice.`;

interface Options {
  readonly selector?: readonly string[];
  readonly dns?: string;
}

export function addCheckDomain(check: Command): void {
  const more = (value: string, before: readonly string[] = []): string[] => [...before, value];
  check
    .command("domain <name>")
    .description("MX, addresses, SPF, DKIM, DMARC, MTA-STS, TLS-RPT, DANE and SRV of any domain")
    .option("--selector <name>", "DKIM selector to look at; repeat it", more)
    .option("--dns <address:port>", "resolver; without it that of the installation or machine")
    .addHelpText("after", examples)
    .action(async (name: string, options: Options, command: Command) => {
      const domain = domainArgument(name);
      const ours = await ourKeys(domain, dataOf(command));
      const selectors = options.selector ?? ours.selectors;
      const wrong = selectors.find((one) => dnsName(`${one}.${domain}`) === null);
      if (wrong !== undefined) {
        throw new ExitError(exitCodes.usage, `--selector "${wrong}" is not a name`);
      }
      const seen = await checkDomain(domain, selectors, resolverOf(options.dns, command));
      const sending = await sendingFindings(domain, dataOf(command));
      const findings = [...(ours.isStranger ? forItsOwner(seen) : seen), ...sending];
      output(command, { domain, findings }, () => findingsText(domain, findings, ours.isStranger));
      process.exitCode = codeOf(findings);
    });
}

interface OurKeys {
  /** What runs here knows that the domain is not its own. */
  readonly isStranger: boolean;
  readonly selectors: readonly string[];
}

/** Where nothing runs the domain may become ours: its advice is worth having. */
async function ourKeys(domain: string, data: string): Promise<OurKeys> {
  const client = adminClient(data);
  try {
    const domains = await client.get<{ name: string }[]>("/domains");
    if (!domains.some(({ name }) => name === domain)) return { isStranger: true, selectors: [] };
    const path = `/domains/${encodeURIComponent(domain)}/dkim`;
    const keys = await client.get<{ selector: string }[]>(path);
    return { isStranger: false, selectors: keys.map(({ selector }) => selector) };
  } catch (error) {
    if (error instanceof ExitError) return { isStranger: false, selectors: [] };
    throw error;
  }
}

/** Our commands make records for domains of ours alone. */
export function forItsOwner(findings: readonly DomainFinding[]): DomainFinding[] {
  return findings.map(({ advice, ...finding }) =>
    advice === undefined || /postern (?:dns show|spf wizard)/.test(advice)
      ? finding
      : { ...finding, advice },
  );
}

/** As the hub here sees it: policies that it holds count too. */
interface TlsTo {
  readonly connector: string;
  readonly fault?: string;
  readonly hosts: readonly {
    readonly host: string;
    readonly route: "signed" | "unsigned" | "connector";
    readonly dane: string;
    readonly mtaSts: string;
    readonly policy: string;
    readonly demand: string;
  }[];
}

/** Nothing when nothing runs here, or the domain is ours. */
async function sendingFindings(domain: string, data: string): Promise<DomainFinding[]> {
  const area = "sending";
  let found: TlsTo;
  try {
    found = await adminClient(data).get<TlsTo>(`/outbound/${encodeURIComponent(domain)}/tls`);
  } catch (error) {
    if (error instanceof ExitError) return [];
    throw error;
  }
  const { connector, fault, hosts } = found;
  if (fault !== undefined) return [{ area, level: "note", text: `by ${connector}: ${fault}` }];
  return hosts.map((one) => {
    const text = `by ${connector} to ${one.host} (MX ${one.route}; DANE: ${one.dane}; MTA-STS: ${one.mtaSts}): ${one.demand}`;
    return { area, level: one.policy === "refused" ? "warn" : "ok", text };
  });
}

function codeOf(findings: readonly DomainFinding[]): number {
  const has = (level: DomainFinding["level"]): boolean =>
    findings.some((finding) => finding.level === level);
  if (has("bad") || has("warn")) return exitCodes.findings;
  return has("unknown") ? exitCodes.tryAgain : exitCodes.ok;
}

const marks = { ok: "ok", note: "note", warn: "warn", bad: "BAD", unknown: "?" } as const;

export function findingsText(
  domain: string,
  findings: readonly DomainFinding[],
  isStranger: boolean,
): string {
  const lines = findings.flatMap(({ area, level, text, advice }) => {
    const head = `${marks[level].padEnd(5)}  ${area.padEnd(9)}  `;
    const rest = " ".repeat(head.length);
    const todo = advice === undefined ? [] : wrapText(`Do: ${advice}.`, rest);
    return [...wrapText(text, head, rest), ...todo];
  });
  const counts = (["bad", "warn", "unknown"] as const).flatMap((level) => {
    const count = findings.filter((finding) => finding.level === level).length;
    return count === 0 ? [] : [`${count} ${level}`];
  });
  const sum = counts.length === 0 ? "Nothing is wrong." : `${counts.join(", ")}.`;
  const whose = isStranger ? ", which is not ours: what is to do is for its owner" : "";
  return [`What the world sees of ${domain}${whose}:`, "", ...lines, "", sum].join("\n");
}
