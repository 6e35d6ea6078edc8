/** What an administrator may set about DMARC and TLS reports (RFC 9990, RFC 9991, RFC 8460). */

import { domainToASCII } from "node:url";
import { Misconfigured } from "#base/errors";
import type { Values } from "#base/parameters";
import { parseMailbox, splitPath } from "#formats/address";

export const reportParameters = {
  send: {
    default: false,
    doc: "Send DMARC aggregate reports and TLS reports once a day to domains that ask for them. Needs mail that gets out, and a DKIM key of ours in the DNS; so it is a decision.",
  },
  address: {
    default: "",
    doc: "Where reports of others come in and what ours are sent from: an account or an alias here. Empty: dmarc-reports@DOMAIN.",
  },
  orgName: { default: "", doc: "Our name in reports; empty: the first mail domain." },
  maxKib: {
    default: 2048,
    unit: "count",
    min: 16,
    max: 20_480,
    doc: "Largest DMARC report that is sent, packed, in KiB; the sources with the fewest messages are left out of a larger one.",
  },
  failure: {
    default: "none",
    oneOf: ["none", "headers"],
    doc: "Failure reports to domains that ask for them (ruf): none, or the header of mail that failed and was kept, without subject and recipients. They tell the domain's owner about single messages.",
  },
  failuresPerDay: {
    default: 10,
    unit: "count",
    min: 1,
    max: 1000,
    doc: "Failure reports to one domain a day.",
  },
  keepDays: {
    default: 400,
    unit: "count",
    min: 31,
    max: 3660,
    doc: "Days that received reports, and notes of sent ones, are kept.",
  },
} as const;

export interface ReportSettings extends Values<typeof reportParameters> {
  /** A-labels, lower case: the domain that our reports are made and signed by. */
  readonly submitter: string;
}

/** @throws Misconfigured when the address is none */
export function completeReportSettings(
  given: Values<typeof reportParameters>,
  domain: string,
): ReportSettings {
  const site = domainToASCII(domain.toLowerCase());
  const address = given.address === "" ? `dmarc-reports@${site}` : given.address;
  const parsed = parseMailbox(address);
  if (!parsed.ok) throw new Misconfigured(`reports.address: "${address}" is not an address`);
  return {
    ...given,
    address: parsed.value,
    orgName: given.orgName === "" ? site : given.orgName,
    submitter: domainToASCII(splitPath(parsed.value).domain.toLowerCase()),
  };
}
