/** What the hub is started with; `postern up` and `postern setup` write it, nothing else does. */

import type { LoginSettings } from "#access/factors";
import type { imapParameters } from "#access/imap";
import type { Endpoint } from "#base/net";
import type { Values } from "#base/parameters";
import type { PolicySnapshot } from "#contracts/deposit";
import type { TcpService } from "#contracts/web";
import type { directoryParameters } from "#directory";
import type { reportParameters } from "#hub/report-settings";
import type { InboundConnector, OutboundConnector } from "#model/connector";
import type { storeParameters } from "#store";
import type { backupParameters } from "#store/backup";
import type { queueParameters } from "#transport/queue";
import type { smtpParameters } from "#transport/smtp-server";
import type { CertificateSettings } from "./certificates/settings.ts";
import type { Gateway } from "./gateway/settings.ts";
import type { JudgingSettings } from "./judge.ts";
import type { MtaStsSettings } from "./mta-sts.ts";
import type { PublishedApplication } from "./publish/settings.ts";
import type { LmtpDoor } from "./relay/settings.ts";
import type { submissionParameters } from "./sending-limits.ts";
import type { SendmailSettings } from "./sendmail-settings.ts";

export interface EdgePeer {
  readonly name: "edge-smtp" | "edge-web";
  readonly endpoint: Endpoint;
  /** SHA-256 of the edge's link certificate, hexadecimal: pinned. */
  readonly fingerprint: string;
}

/** Paths are absolute or start in the hub's folder. */
export interface HubSettings {
  readonly version: string;
  readonly hostname: string;
  readonly domain: string;
  readonly folder: string;
  readonly distDirectory: string;
  readonly tls: { readonly certificate: string; readonly key: string };
  readonly certificates: CertificateSettings;
  readonly link: {
    readonly certificate: string;
    readonly key: string;
    readonly authority: string;
    readonly edges: readonly EdgePeer[];
  };
  readonly keyring: {
    readonly socket: string;
    readonly secretFile: string;
    /** Of the master key that wraps, as it is set. */
    readonly masterSource: "file" | "credential" | "pkcs11";
  };
  readonly policyKey: string;
  /** JSON file with the keys that open sealed mail, public and private. */
  readonly sealKeys: string;
  readonly listen: {
    readonly submission: Endpoint;
    readonly imap: Endpoint;
    readonly console: Endpoint;
    readonly relay?: Endpoint;
    readonly lmtp?: LmtpDoor;
    /** Path of a socket. */
    readonly local?: string;
  };
  /** Where the web edge takes the connections of mail clients. */
  readonly publishedClients: Readonly<Partial<Record<TcpService, Endpoint>>>;
  /** Names that the web edge answers for, in lower case. */
  readonly publishedHosts: readonly string[];
  /** Applications besides Postern itself. */
  readonly publish: readonly PublishedApplication[];
  readonly consoleTokenFile: string;
  readonly adminSocket: string;
  readonly adminSecretFile: string;
  /** What the edge is told of who is believed, and what follows from its verdicts. */
  readonly identity: Pick<PolicySnapshot, "ownRelays" | "trustedSealers" | "praMode" | "rules">;
  /** Whether forwarded mail gets an ARC set of ours. */
  readonly arcSeal: boolean;
  readonly judging: JudgingSettings;
  readonly smtp: Values<typeof smtpParameters>;
  readonly submission: Values<typeof submissionParameters>;
  readonly imap: Values<typeof imapParameters>;
  readonly queue: Values<typeof queueParameters>;
  /** Its files are absolute; `startHub` reads those that hold PEM. */
  readonly outbound: readonly OutboundConnector[];
  /** Its files are absolute. */
  readonly inbound: readonly InboundConnector[];
  /** Their files are absolute. */
  readonly gateways: readonly Gateway[];
  readonly sendmail: SendmailSettings;
  readonly directory: Values<typeof directoryParameters>;
  /** Its files are absolute. */
  readonly login: LoginSettings;
  readonly store: Values<typeof storeParameters>;
  readonly backup: Values<typeof backupParameters>;
  readonly reports: Values<typeof reportParameters>;
  readonly mtaSts: MtaStsSettings;
}
