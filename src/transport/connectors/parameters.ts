/** What an administrator may say of one way out or in: keys of [outbound.NAME] and [inbound.NAME]. */

import type { Values } from "#base/parameters";

const secretParameters = {
  secretFiles: {
    default: [],
    doc: "Files with one secret each, at most two: the present one and the next; one that is missing or empty is passed over while the other is there.",
  },
  secretMaxAgeDays: {
    default: 365,
    unit: "count",
    min: 0,
    max: 3_650,
    doc: "Age in days at which a secret counts as expired: it still works, and is reported every day. 0: never.",
  },
} as const;

const tlsFloorParameters = {
  tlsMinVersion: {
    default: "1.2",
    oneOf: ["1.2", "1.3"],
    doc: "Oldest TLS version that is spoken.",
  },
  tlsGroups: {
    default: [],
    doc: "Key exchange groups in order of preference, as OpenSSL names them; empty: those of Node, whose first is the hybrid X25519MLKEM768.",
  },
} as const;

const wayParameters = {
  spaces: {
    default: [],
    doc: "Domains whose mail goes this way: example.net alone, .example.net for every name below it, * for all. The most specific wins.",
  },
  cost: {
    default: 0,
    unit: "count",
    min: 0,
    max: 10_000,
    doc: "Among connectors with an equally specific space the lower one is used.",
  },
  hosts: {
    default: [],
    doc: "Hosts that take the mail, in order of preference: host, host:port or [IPv6]:port. Empty: the MX of the domain.",
  },
  whenDown: {
    default: "wait",
    oneOf: ["wait", "direct"],
    doc: "While none of the hosts answers: wait for them, or deliver directly to the MX. Direct mail leaves from our own address, which the SPF records of the senders may not name.",
  },
  via: {
    default: "edge",
    oneOf: ["edge", "inside"],
    doc: "Who dials: the mail edge, or the hub itself, for hosts inside.",
  },
  protocol: {
    default: "smtp",
    oneOf: ["smtp", "lmtp"],
    doc: "LMTP is for mail stores inside (RFC 2033).",
  },
} as const;

const tlsParameters = {
  tls: {
    default: "opportunistic",
    oneOf: ["opportunistic", "required", "pinned", "none"],
    doc: "opportunistic: when offered, and as DANE and MTA-STS demand. required: with a certificate that stands for the host or one of tlsNames. pinned: with one of tlsPins. none: in the clear, inside only.",
  },
  tlsNames: {
    default: [],
    doc: "For tls required: names that the certificate may stand for instead of the host's, as mx.example.net or *.example.net.",
  },
  tlsPins: {
    default: [],
    doc: "For tls pinned: SHA-256 of the certificate or of its public key, hexadecimal, with or without colons. Two of them let a key change.",
  },
  tlsAuthorityFile: {
    default: "",
    doc: "For tls required: PEM file with the authorities that the certificate may come from; empty: those that Node brings.",
  },
  tlsImplicit: {
    default: false,
    doc: "TLS from the first octet instead of STARTTLS; the port is then 465 unless given (RFC 8314).",
  },
  tlsCertificateFile: {
    default: "",
    doc: "PEM file with the certificate that we show to a server that asks for one.",
  },
  tlsKeyFile: { default: "", doc: "PEM file with the private key of that certificate." },
} as const;

const loginParameters = {
  auth: {
    default: "none",
    oneOf: ["none", "scram", "plain", "oauthbearer"],
    doc: "How we log in; all of them only with tls required or pinned. SCRAM never sends the secret.",
  },
  user: { default: "", doc: "User name of that login." },
} as const;

const paceParameters = {
  sourceAddress: {
    default: "",
    doc: "Local address that connections leave from; empty: as the system chooses.",
  },
  heloName: { default: "", doc: "Name that we give in EHLO; empty: our host name." },
  schedule: {
    default: [],
    doc: "When mail may leave, in local time: Mon-Fri 20:00-06:00, or Sat,Sun 00:00-24:00. Empty: always. Outside of it mail waits.",
  },
  connections: {
    default: 4,
    unit: "count",
    min: 1,
    max: 1_000,
    doc: "Connections to one destination at the same time; lower when servers complain.",
  },
  messagesPerSession: {
    default: 20,
    unit: "count",
    min: 1,
    max: 10_000,
    doc: "Messages over one connection.",
  },
  messagesPerMinute: {
    default: 0,
    unit: "count",
    min: 0,
    max: 100_000,
    doc: "Messages to one destination in a minute; 0: as many as it takes.",
  },
} as const;

/** Keys of a table [outbound.NAME]. */
export const outboundParameters: typeof wayParameters &
  typeof tlsParameters &
  typeof tlsFloorParameters &
  typeof loginParameters &
  typeof secretParameters &
  typeof paceParameters = {
  ...wayParameters,
  ...tlsParameters,
  ...tlsFloorParameters,
  ...loginParameters,
  ...secretParameters,
  ...paceParameters,
};

const peerParameters = {
  door: {
    default: "edge",
    oneOf: ["edge", "relay", "lmtp"],
    doc: "Where it comes in: the mail edge, or the hub's relay or LMTP door inside.",
  },
  networks: {
    default: [],
    doc: "Networks or addresses that it comes from, as 192.0.2.0/24. Empty: any, if a certificate or a login says who it is.",
  },
  certificates: {
    default: [],
    doc: "SHA-256 of client certificates or of their public keys, hexadecimal, with or without colons. Empty: none is asked for.",
  },
  user: { default: "", doc: "User name that the partner logs in with; empty: without a login." },
  senderDomains: {
    default: [],
    doc: "Domains that the partner sends for: their mail comes by a connector that lists them or not at all, and a login may use no others.",
  },
  tls: {
    default: "opportunistic",
    oneOf: ["opportunistic", "required"],
    doc: "required: no mail before TLS (RFC 3207).",
  },
  trusted: {
    default: false,
    doc: "Ours or hired: no tarpit, block lists, greylisting or limits by address.",
  },
  mayRelay: {
    default: false,
    doc: "May send to domains that are not ours; only by the doors inside.",
  },
} as const;

/** Keys of a table [inbound.NAME]. */
export const inboundParameters: typeof peerParameters &
  typeof tlsFloorParameters &
  typeof secretParameters = {
  ...peerParameters,
  ...tlsFloorParameters,
  ...secretParameters,
};

export type OutboundValues = Values<typeof outboundParameters>;
export type InboundValues = Values<typeof inboundParameters>;
