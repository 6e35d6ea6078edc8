/** Every section of the configuration file, gathered from the rooms that declare the parameters. */

import { loginParameters } from "#access/factors";
import { imapParameters } from "#access/imap";
import { dnsParameters } from "#base/dns";
import type { Parameter } from "#base/parameters";
import { directoryParameters } from "#directory";
import { abuseParameters, edgeSmtpParameters } from "#edge/smtp";
import { tcpParameters } from "#edge/tcp";
import { mtaStsParameters, sendmailParameters, submissionParameters } from "#hub";
import { reportParameters } from "#hub/report-settings";
import { identityParameters } from "#identity/checks";
import { acmeParameters, certificateParameters } from "#keys/authority";
import { keyringParameters } from "#keys/custody";
import { dmarcParameters, senderIdParameters, spamParameters, spfParameters } from "#policy";
import { webParameters } from "#proxy";
import { storeParameters } from "#store";
import { backupParameters } from "#store/backup";
import { milterParameters } from "#transport/milter";
import { queueParameters } from "#transport/queue";
import { smtpParameters } from "#transport/smtp-server";
import { spamFilterParameters } from "#transport/spam-filter";

const endpoint = (at: string, what: string): Parameter<string> => ({
  default: at,
  doc: `Address and port of ${what}, as HOST:PORT.`,
});

const siteParameters: Readonly<Record<"domain" | "hostname", Parameter<string>>> = {
  domain: {
    default: "",
    doc: "The first mail domain; empty makes a demonstration domain with two accounts.",
  },
  hostname: { default: "", doc: "Public host name of the mail server; empty: mail.DOMAIN." },
};

type ListenKey =
  | "smtp"
  | "https"
  | "submission"
  | "imap"
  | "console"
  | "linkSmtp"
  | "linkWeb"
  | "relay"
  | "lmtp"
  | "local";

const listenParameters: Readonly<Record<ListenKey, Parameter<string>>> = {
  smtp: endpoint("127.0.0.1:2525", "the SMTP edge"),
  https: endpoint("127.0.0.1:2443", "the HTTPS edge (webmail, login)"),
  submission: endpoint("127.0.0.1:2465", "submission with implicit TLS"),
  imap: endpoint("127.0.0.1:2993", "IMAP with implicit TLS"),
  console: endpoint("127.0.0.1:2444", "the console and the measures; keep it on loopback"),
  linkSmtp: endpoint("127.0.0.1:2526", "the SMTP edge's link, which the hub dials"),
  linkWeb: endpoint("127.0.0.1:2527", "the HTTPS edge's link, which the hub dials"),
  relay: {
    default: "",
    doc: "Where servers inside hand in mail that leaves, by SMTP, as HOST:PORT; empty: nowhere. Each needs an [inbound.NAME] with door relay.",
  },
  lmtp: {
    default: "",
    doc: "Where a mail server of ours hands in mail for mailboxes here, by LMTP: HOST:PORT, or the path of a socket; empty: nowhere.",
  },
  local: {
    default: "",
    doc: "Path of a socket where programs of this machine hand in mail with sendmail; its folder says who may; empty: nowhere.",
  },
};

const linkParameters: {
  readonly spool: Parameter<string>;
  readonly spoolMib: Parameter<number>;
} = {
  spool: {
    default: "reject",
    oneOf: ["reject", "sealed"],
    doc: "Link down: answer 451 (reject), or keep mail sealed to the inside's key in the DMZ (sealed).",
  },
  spoolMib: {
    default: 64,
    unit: "count",
    min: 8,
    max: 65_536,
    doc: "Room for sealed mail on the edge, in MiB; reserved when the edge starts.",
  },
};

const egressParameters: {
  readonly ports: Parameter<readonly string[]>;
  readonly private: Parameter<boolean>;
} = {
  ports: {
    default: ["25", "443"],
    doc: "Ports that the edge may dial for outgoing mail; 443 is for MTA-STS policies and TLS reports.",
  },
  private: {
    default: false,
    doc: "Lets the edge dial loopback and private addresses; for smart hosts on the same network.",
  },
};

const balanced = (edge: string): Parameter<readonly string[]> => ({
  default: [],
  doc: `Networks of balancers whose connections to ${edge} begin with a PROXY header, v1 or v2.`,
});

type Balancers = Readonly<Record<"mail" | "web", Parameter<readonly string[]>>>;

const balancerParameters: Balancers = {
  mail: balanced("the mail edge"),
  web: balanced("the web edge"),
};

export interface Tables {
  readonly site: typeof siteParameters;
  readonly listen: typeof listenParameters;
  readonly dns: typeof dnsParameters;
  readonly link: typeof linkParameters;
  readonly identity: typeof identityParameters;
  readonly spf: typeof spfParameters;
  readonly dmarc: typeof dmarcParameters;
  readonly senderId: typeof senderIdParameters;
  readonly spam: typeof spamParameters;
  readonly spamFilter: typeof spamFilterParameters;
  readonly milters: typeof milterParameters;
  readonly smtp: typeof smtpParameters;
  readonly edge: typeof edgeSmtpParameters;
  readonly abuse: typeof abuseParameters;
  readonly submission: typeof submissionParameters;
  readonly balancer: typeof balancerParameters;
  readonly egress: typeof egressParameters;
  readonly queue: typeof queueParameters;
  readonly sendmail: typeof sendmailParameters;
  readonly imap: typeof imapParameters;
  readonly web: typeof webParameters;
  readonly clients: typeof tcpParameters;
  readonly directory: typeof directoryParameters;
  readonly login: typeof loginParameters;
  readonly store: typeof storeParameters;
  readonly backup: typeof backupParameters;
  readonly reports: typeof reportParameters;
  readonly mtaSts: typeof mtaStsParameters;
  readonly keyring: typeof keyringParameters;
  readonly certificates: typeof certificateParameters;
  readonly acme: typeof acmeParameters;
}

export const tables: Tables = {
  site: siteParameters,
  listen: listenParameters,
  dns: dnsParameters,
  link: linkParameters,
  identity: identityParameters,
  spf: spfParameters,
  dmarc: dmarcParameters,
  senderId: senderIdParameters,
  spam: spamParameters,
  spamFilter: spamFilterParameters,
  milters: milterParameters,
  smtp: smtpParameters,
  edge: edgeSmtpParameters,
  abuse: abuseParameters,
  submission: submissionParameters,
  balancer: balancerParameters,
  egress: egressParameters,
  queue: queueParameters,
  sendmail: sendmailParameters,
  imap: imapParameters,
  web: webParameters,
  clients: tcpParameters,
  directory: directoryParameters,
  login: loginParameters,
  store: storeParameters,
  backup: backupParameters,
  reports: reportParameters,
  mtaSts: mtaStsParameters,
  keyring: keyringParameters,
  certificates: certificateParameters,
  acme: acmeParameters,
};

export type SectionName = keyof Tables;
