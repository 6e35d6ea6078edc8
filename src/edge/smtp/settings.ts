/** What edge-smtp is told at its start: plain JSON, secrets only as names of files. */

import type { DnsValues } from "#base/dns";
import type { Endpoint } from "#base/net";
import type { Values } from "#base/parameters";
import type { smtpParameters } from "#transport/smtp-server";
import type { AbuseSettings } from "./abuse/check.ts";
import type { edgeSmtpParameters } from "./parameters.ts";

export interface EdgeSmtpSettings {
  readonly hostname: string;
  readonly listen: Endpoint;
  /** PEM files; without them STARTTLS is not offered. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  readonly link: {
    readonly listen: Endpoint;
    /** PEM files. */
    readonly certificate: string;
    readonly key: string;
    readonly authority: string;
    /** SHA-256 of the certificate that the inside dials with; several while it is renewed. */
    readonly hubFingerprint: string | readonly string[];
  };
  /** Ed25519, SubjectPublicKeyInfo in PEM: whoever holds its other half sets the policy. */
  readonly policyPublicKey: string;
  /** Where the snapshot, the spool and the witness's files are. */
  readonly folder: string;
  /** What happens to mail while the link is down: put off, or kept sealed here. */
  readonly spool: "reject" | "sealed";
  readonly spoolMib: number;
  readonly dns: DnsValues;
  readonly egressPorts: readonly number[];
  /** May the inside dial loopback and private addresses through here? */
  readonly egressPrivate: boolean;
  /** Networks that speak the PROXY protocol to the listener. */
  readonly proxyTrusted?: readonly string[];
  readonly smtp: Values<typeof smtpParameters>;
  readonly edge: Values<typeof edgeSmtpParameters>;
  readonly abuse: AbuseSettings;
}

export const snapshotFile = "policy.snapshot";
export const spoolFolder = "spool";
export const greylistFile = "greylist";
