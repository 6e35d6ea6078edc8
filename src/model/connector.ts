/** Named ways in and out, each for some domains or peers, with its own TLS, login and limits. */

import type { TlsVersion } from "#model/tls-policy";

export type ConnectorName = string;

/** exact: "example.net". below: ".example.net", every name below it. any: "*". Names in lower case. */
export type AddressSpace =
  | { readonly kind: "exact" | "below"; readonly domain: string }
  | { readonly kind: "any" };

export interface ConnectorHost {
  readonly host: string;
  readonly port: number;
}

/** Days 0 (Sunday) to 6, minutes of the day in local time; may pass midnight (from > to). */
export interface TimeWindow {
  readonly days: readonly number[];
  readonly fromMinute: number;
  readonly toMinute: number;
}

export interface OutboundConnector {
  readonly name: ConnectorName;
  readonly spaces: readonly AddressSpace[];
  /** Among equally specific spaces the lower wins. */
  readonly cost: number;
  /** In order of preference; empty: the MX of the domain decides. */
  readonly hosts: readonly ConnectorHost[];
  /** What happens while none of the hosts answers. */
  readonly whenDown: "wait" | "direct";
  /** edge: tunnelled through the mail edge. inside: dialled by the hub itself. */
  readonly via: "edge" | "inside";
  readonly protocol: "smtp" | "lmtp";
  readonly tls: ConnectorTls;
  readonly login?: ConnectorLogin;
  /** Local address that the connection leaves from. */
  readonly sourceAddress?: string;
  /** Name in EHLO; absent: the host name of the installation. */
  readonly heloName?: string;
  /** Empty: always. */
  readonly schedule: readonly TimeWindow[];
  /** Open at the same time, to one destination. */
  readonly connections: number;
  readonly messagesPerSession: number;
  /** To one destination; 0: any. */
  readonly messagesPerMinute: number;
}

export interface ConnectorTls {
  /**
   * opportunistic: as good as the other side can, and what its DANE or MTA-STS demands. required:
   * verified by a trusted authority (or DANE) for the host's name or one of `names`. pinned: one of
   * `pins`. none: in the clear; only for hosts inside.
   */
  readonly level: "none" | "opportunistic" | "required" | "pinned";
  readonly names: readonly string[];
  readonly pins: readonly string[];
  /** Trust anchors, PEM (in the settings: the file's name); absent: those of Node. */
  readonly authorities?: readonly string[];
  readonly minVersion: TlsVersion;
  readonly groups?: readonly string[];
  readonly implicit: boolean;
  /** PEM; in the settings the names of the files. */
  readonly client?: { readonly certificate: string; readonly key: string };
}

export interface ConnectorLogin {
  /** scram: the strongest SCRAM that both sides know (RFC 5802, RFC 7677). */
  readonly mechanism: "scram" | "plain" | "oauthbearer";
  readonly user: string;
  /** Files with one secret each, read anew for each login: the first that the server takes is used. */
  readonly secretFiles: readonly string[];
  /** Age at which a secret counts as expired; 0: never. */
  readonly secretMaxAgeDays: number;
}

/** Where an inbound connector listens. */
export type InboundDoor = "edge" | "relay" | "lmtp";

/** Who may come by it, and what is then demanded and allowed. */
export interface InboundConnector {
  readonly name: ConnectorName;
  readonly door: InboundDoor;
  /** Networks ("192.0.2.0/24") that it is for; empty: any. */
  readonly networks: readonly string[];
  /** SHA-256, lower-case hexadecimal, of client certificates or their keys; empty: none is asked for. */
  readonly certificates: readonly string[];
  /** User name of the partner's login; absent: none. */
  readonly user?: string;
  /** Of that login, as in `ConnectorLogin`; the edges are told neither of them. */
  readonly secretFiles?: readonly string[];
  readonly secretMaxAgeDays?: number;
  /**
   * Domains that the partner sends for (RFC 5321 reverse paths): mail from these comes by this
   * connector or not at all, and a login may use no others.
   */
  readonly senderDomains: readonly string[];
  /** TLS or 530 (RFC 3207 §4). */
  readonly requireTls: boolean;
  readonly minVersion: TlsVersion;
  readonly groups?: readonly string[];
  /** Ours or hired: no tarpit, block lists, greylisting or limits by address. */
  readonly trusted: boolean;
  /** May send to domains that are not ours; only by the doors inside. */
  readonly mayRelay: boolean;
}
