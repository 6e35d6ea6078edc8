/** The records that a mail domain needs, from what this installation is; each with its reason. */

import { createHash } from "node:crypto";
import { formatStsRecord, stsHost, stsRecordName } from "#formats/mta-sts";
import { tlsRptName } from "#formats/tls-report";
import { characterStrings, wrapText } from "#identity/spf-advice";

/** What a DKIM key is for now; without a state it signs. */
interface DkimKeyRecord {
  readonly name: string;
  readonly text: string;
  readonly state?: "pending" | "active" | "retiring";
}

export interface MailSetup {
  readonly domain: string;
  /** Public name of the mail server, which other domains may share. */
  readonly hostname: string;
  /** Name that IMAP and submission show in their certificate; absent: the same. */
  readonly clientHost?: string;
  /** People have their mailboxes on a server inside, which their mail programs ask. */
  readonly isGateway?: boolean;
  /** Public address of that server, when the configuration tells it. */
  readonly address?: string;
  readonly dkim: readonly DkimKeyRecord[];
  /** Host that takes all outgoing mail, when there is one. */
  readonly smartHost?: string;
  /** Where reports go; `exists` when somebody gets that mail. */
  readonly reports: { readonly address: string; readonly exists: boolean };
  /** As the web edge serves it. */
  readonly stsPolicy: string;
  readonly ports: { readonly submission: number; readonly imap: number; readonly https: number };
  /** Of the server's certificate, when it can be read. */
  readonly certificate?: { readonly keySha256: string; readonly until: string };
}

export type WantedType = "A" | "CNAME" | "MX" | "SRV" | "TLSA" | "TXT";

export interface WantedRecord {
  readonly type: WantedType;
  /** "@", a name below the domain, or a full name with its last dot. */
  readonly name: string;
  readonly fullName: string;
  /** As a provider's form takes it; a TXT as one text. */
  readonly value: string;
  /** The strings of a TXT record. */
  readonly strings?: readonly string[];
  readonly why: string;
  readonly need: "must" | "should" | "may";
  /** Of the server, once for all its domains, or of each domain. */
  readonly per: "domain" | "machine";
  /** What has to be so before it may be published. */
  readonly notYet?: string;
}

type Row = Omit<WantedRecord, "name" | "strings">;

export function wantedRecords(setup: MailSetup): WantedRecord[] {
  const rows = [...wayIn(setup), ...proofs(setup), ...tlsRows(setup), ...clientRows(setup)];
  return rows.map((row) => ({
    ...row,
    name: relative(row.fullName, setup.domain),
    ...(row.type === "TXT" && { strings: characterStrings(row.value) }),
  }));
}

function relative(fullName: string, domain: string): string {
  if (fullName === domain) return "@";
  const isBelow = fullName.endsWith(`.${domain}`);
  return isBelow ? fullName.slice(0, -domain.length - 1) : `${fullName}.`;
}

function wayIn({ domain, hostname, address }: MailSetup): Row[] {
  return [
    {
      type: "MX",
      fullName: domain,
      value: `10 ${hostname}.`,
      need: "must",
      per: "domain",
      why: "where mail for the domain goes",
    },
    {
      type: "A",
      fullName: hostname,
      value: address ?? "ADDRESS",
      need: "must",
      per: "machine",
      why: "the address of the mail server; AAAA for IPv6. Its reverse name must lead back to it",
      ...(address === undefined && {
        notYet: "put in the address under which the world sees the server",
      }),
    },
  ];
}

const dkimWhys: Readonly<Record<NonNullable<DkimKeyRecord["state"]>, string>> = {
  pending: "the next key, which signs nothing yet. When this is published: postern dkim activate",
  active: "checks our signatures",
  retiring: "checks signatures of the last two weeks. It may go after: postern dkim retire",
};

/** Who may send as the domain, and what to do with the rest. */
function proofs(setup: MailSetup): Row[] {
  const { domain, dkim, smartHost, reports } = setup;
  const spf = smartHost === undefined ? "v=spf1 mx -all" : `v=spf1 mx a:${smartHost} ~all`;
  const spfWhy =
    smartHost === undefined
      ? "SPF: only the mail servers of the domain send as it"
      : "SPF: the mail servers and the smart host send; ask its owner which addresses it sends from";
  const mailbox = reports.exists
    ? ""
    : `; nobody gets that mail yet: postern alias add ${reports.address} YOU`;
  const home = reports.address.slice(reports.address.lastIndexOf("@") + 1);
  // RFC 9990: whoever gets the reports of another domain has to agree to that.
  const consent =
    home === domain ? "" : `. Publish too: ${domain}._report._dmarc.${home} TXT "v=DMARC1"`;
  return [
    {
      type: "TXT",
      fullName: domain,
      value: spf,
      need: "must",
      per: "domain",
      why: `${spfWhy}. Others send too? postern spf wizard ${domain}`,
    },
    ...dkim.map(
      ({ name, text, state = "active" }): Row => ({
        type: "TXT",
        fullName: name,
        value: text,
        need: "must",
        per: "domain",
        why: `DKIM: ${dkimWhys[state]}`,
      }),
    ),
    {
      type: "TXT",
      fullName: `_dmarc.${domain}`,
      need: "must",
      per: "domain",
      value: `v=DMARC1; p=none; rua=mailto:${reports.address}`,
      why: `DMARC: begin by watching the daily reports; raise p to quarantine, then reject${mailbox}${consent}`,
    },
  ];
}

function tlsRows({ domain, hostname, reports, stsPolicy, certificate }: MailSetup): Row[] {
  // RFC 8461 §3.1: another policy, another id.
  const id = createHash("sha256").update(stsPolicy).digest("hex").slice(0, 16);
  const mode = /^mode: (\w+)/m.exec(stsPolicy)?.[1] ?? "";
  const rows: Row[] = [
    {
      type: "CNAME",
      fullName: stsHost(domain),
      need: "should",
      per: "domain",
      value: `${hostname}.`,
      why: "MTA-STS: other servers fetch there how mail is to reach us; the web edge answers",
    },
    {
      type: "TXT",
      fullName: tlsRptName(domain),
      need: "should",
      per: "domain",
      value: `v=TLSRPTv1; rua=mailto:${reports.address}`,
      why: "TLS-RPT: other servers report when TLS to us fails",
    },
    {
      type: "TXT",
      fullName: stsRecordName(domain),
      need: "should",
      per: "domain",
      value: formatStsRecord(id),
      why: `MTA-STS, ${mode}: other servers use verified TLS to us. The id changes with [mtaSts]`,
      notYet: `first publish ${stsHost(domain)}, and wait until the certificate of the web edge has that name: postern pki show`,
    },
  ];
  if (certificate === undefined) return rows;
  const { keySha256, until } = certificate;
  return [
    ...rows,
    {
      type: "TLSA",
      fullName: `_25._tcp.${hostname}`,
      need: "may",
      per: "machine",
      value: `3 1 1 ${keySha256}`,
      why: `DANE: other servers know our certificate's key. Publish the next one before ${until}`,
      notYet: "sign the zone first (DNSSEC): without it no server uses the record",
    },
  ];
}

/** RFC 6186, RFC 8314 §5.1, RFC 8620 §2.2; and what Thunderbird and Outlook ask for. */
function clientRows({ domain, hostname, clientHost, ports, isGateway }: MailSetup): Row[] {
  if (isGateway === true) return [];
  const service = (name: string, port: number, why: string, host = clientHost): Row => ({
    type: "SRV",
    fullName: `${name}.${domain}`,
    need: "should",
    per: "domain",
    value: `0 1 ${port} ${host ?? hostname}.`,
    why,
  });
  const alias = (name: string, who: string): Row => ({
    type: "CNAME",
    fullName: `${name}.${domain}`,
    value: `${hostname}.`,
    need: "may",
    per: "domain",
    why: `${who} asks there for the settings`,
    notYet: `first serve them at https://${name}.${domain}/; the SRV records do without`,
  });
  return [
    service("_submissions._tcp", ports.submission, "mail programs find where to send"),
    service("_imaps._tcp", ports.imap, "mail programs find where to read"),
    service("_jmap._tcp", ports.https, "mail programs that speak JMAP find it", hostname),
    alias("autoconfig", "Thunderbird"),
    alias("autodiscover", "Outlook"),
  ];
}

/** RFC 1035 §5.1. What may not be published yet is a comment. */
export function zoneText(domain: string, rows: readonly WantedRecord[]): string {
  const lines = rows.flatMap((row) => {
    const head = `${row.name} IN ${row.type}`;
    const line =
      row.strings === undefined ? `${head} ${row.value}` : `${head} ${quoted(row.strings)}`;
    const notes = wrapText(`${row.need}: ${row.why}`, "; ");
    if (row.notYet === undefined) return ["", ...notes, line];
    return ["", ...notes, ...wrapText(`Not yet: ${row.notYet}`, "; "), `; ${line}`];
  });
  return [`$ORIGIN ${domain}.`, "$TTL 300", ...lines].join("\n");
}

function quoted(strings: readonly string[]): string {
  return strings.map((text) => `"${text.replace(/["\\]/g, "\\$&")}"`).join(" ");
}

/** The value has a line of its own: a DKIM key is longer than any terminal is wide. */
export function recordsText(domain: string, rows: readonly WantedRecord[]): string {
  const lines = rows.flatMap((row) => [
    "",
    `${row.need.padEnd(6)}  ${row.type.padEnd(5)}  ${row.name}`,
    ...wrapText(row.why, "        "),
    ...(row.notYet === undefined ? [] : wrapText(`NOT YET: ${row.notYet}`, "        ")),
    `    ${row.value}`,
  ]);
  const next = `When they are published: postern dns check ${domain}`;
  return [`Records of ${domain} (@ is the domain itself):`, ...lines, "", next].join("\n");
}
