/** Sections [certificates] and [acme] of the configuration. */

import type { Parameter } from "#base/parameters";

type NamesKey = "webNames" | "mailNames" | "insideNames";

const names = (what: string): Parameter<readonly string[]> => ({ default: [], doc: what });

export const certificateParameters: Readonly<Record<NamesKey, Parameter<readonly string[]>>> = {
  webNames: names(
    "Host names in the certificate of the web edge; empty: the host name and all published ones.",
  ),
  mailNames: names("Host names in the certificate of the mail edge; empty: the host name."),
  insideNames: names(
    "Host names that IMAP and submission clients are told; empty: the host name. A name of its own keeps the key of these doors out of the DMZ.",
  ),
};

type AcmeParameters = {
  readonly directory: Parameter<string>;
  readonly agreeTerms: Parameter<boolean>;
  readonly contact: Parameter<readonly string[]>;
  readonly caFile: Parameter<string>;
  readonly direct: Parameter<boolean>;
  readonly eabKeyId: Parameter<string>;
  readonly eabKeyFile: Parameter<string>;
};

export const acmeParameters: AcmeParameters = {
  directory: {
    default: "",
    doc: "Directory URL of the ACME server that issues the certificates (RFC 8555); empty: none.",
  },
  agreeTerms: {
    default: false,
    doc: "You have read the ACME server's terms of service and agree to them; nothing is ordered before.",
  },
  contact: { default: [], doc: "Addresses that the ACME server may write to, as mailto: URLs." },
  caFile: {
    default: "",
    doc: "PEM file with the authority of the ACME server's own certificate; empty: the public ones.",
  },
  direct: {
    default: false,
    doc: "The hub dials the ACME server itself, for one that stands inside; otherwise through the mail edge, whose egress.ports must hold its port.",
  },
  eabKeyId: {
    default: "",
    doc: "Key identifier of an external account binding, where the ACME server asks for one.",
  },
  eabKeyFile: { default: "", doc: "File with the key of that binding, in base64url." },
};
