/** What an administrator says of domains whose mailboxes are on a server inside: [gateway.NAME]. */

import { FilterParser } from "ldapts";
import { Misconfigured } from "#base/errors";
import type { Values } from "#base/parameters";
import { parseDomain } from "#formats/address";
import type { OutboundConnector } from "#model/connector";
import { rankOutbound } from "#transport/connectors";
import { filterFor } from "./ldap-filter.ts";

export const gatewayParameters = {
  domains: {
    default: [],
    doc: "Domains whose mail goes to a server inside; each needs an [outbound.NAME] that leads there.",
  },
  recipients: {
    default: "callout",
    oneOf: ["callout", "list", "ldap", "any"],
    doc: "How it is found out who has a mailbox there: by asking that server, from a file, from a directory, or not at all.",
  },
  listFile: {
    default: "",
    doc: "For recipients list: a file with an address in each line; @example.org takes all of that domain. Read again when it changes.",
  },
  subAddresses: {
    default: false,
    doc: "For list and ldap: take user+tag where user is known; true when the server inside delivers such.",
  },
  ldapUrl: {
    default: "",
    doc: "For recipients ldap: ldaps://host, or ldap://host, which is protected by StartTLS.",
  },
  ldapPlain: {
    default: false,
    doc: "Ask ldap:// without TLS: addresses and the password cross the network readable.",
  },
  ldapBase: {
    default: "",
    doc: "Entry below which addresses are looked for: dc=example,dc=org.",
  },
  ldapFilter: {
    default: "(|(mail={address})(proxyAddresses=smtp:{address}))",
    doc: "Finds the entry of an address (RFC 4515); the default fits Active Directory with Exchange, and OpenLDAP.",
  },
  ldapUser: {
    default: "",
    doc: "Name to log in with, as a DN or as user@domain; empty: anonymous.",
  },
  ldapSecretFile: { default: "", doc: "File with its password." },
  ldapCaFile: {
    default: "",
    doc: "PEM file with the authorities of the directory's certificate; empty: those of Node.",
  },
  knownS: {
    default: 7200,
    unit: "s",
    min: 0,
    max: 86_400,
    doc: "How long it is remembered that an address exists.",
  },
  unknownS: {
    default: 600,
    unit: "s",
    min: 0,
    max: 86_400,
    doc: "How long it is remembered that an address does not exist; lower when new people wait for mail.",
  },
} as const;

export type GatewayValues = Values<typeof gatewayParameters>;

export interface Gateway extends Omit<GatewayValues, "recipients"> {
  readonly name: string;
  readonly recipients: "callout" | "list" | "ldap" | "any";
}

/** @throws Misconfigured beginning with "gateway.NAME.KEY " when the values do not hold together */
export function completeGateway(name: string, given: GatewayValues): Gateway {
  const wrong = (key: keyof GatewayValues, why: string): Misconfigured =>
    new Misconfigured(`gateway.${name}.${key} ${why}`);
  if (given.domains.length === 0) throw wrong("domains", "names no domain");
  const domains = given.domains.map((domain) => {
    const read = parseDomain(domain);
    if (read === null) throw wrong("domains", `has "${domain}", which is no domain`);
    return read.toLowerCase();
  });
  const recipients = given.recipients as Gateway["recipients"];
  if (recipients === "list" && given.listFile === "") {
    throw wrong("listFile", 'is missing: recipients = "list" reads it');
  }
  if (recipients === "ldap") checkLdap(given, wrong);
  return { ...given, name, domains, recipients };
}

/** @throws Misconfigured when a domain stands twice, or nothing says where its mail goes */
export function checkGateways(
  gateways: readonly Gateway[],
  outbound: readonly OutboundConnector[],
): void {
  const seen = new Map<string, string>();
  for (const { name, domains } of gateways) {
    for (const domain of domains) {
      const other = seen.get(domain);
      if (other !== undefined) {
        throw new Misconfigured(`gateway.${name}.domains has ${domain}, as gateway.${other} does`);
      }
      seen.set(domain, name);
      const [way] = rankOutbound(outbound, domain);
      if (way?.connector.via !== "inside" || way.space.kind === "any") {
        throw new Misconfigured(noWay(name, domain));
      }
    }
  }
}

function noWay(name: string, domain: string): string {
  const table = `[outbound.${name}] with spaces = ["${domain}"], via = "inside" and hosts = ["HOST:25"]`;
  return `gateway.${name}.domains has ${domain}, and no connector leads inside: write ${table}`;
}

function checkLdap(
  given: GatewayValues,
  wrong: (key: keyof GatewayValues, why: string) => Misconfigured,
): void {
  const url = URL.canParse(given.ldapUrl) ? new URL(given.ldapUrl) : undefined;
  if (url === undefined || !/^ldaps?:$/.test(url.protocol) || url.hostname === "") {
    throw wrong("ldapUrl", "must be ldaps://host or ldap://host, with a port or without");
  }
  if (!/^\/?$/.test(url.pathname) || url.search !== "" || url.username !== "") {
    throw wrong("ldapUrl", "must end with the host or its port");
  }
  if (given.ldapBase === "") throw wrong("ldapBase", "is missing");
  if (!given.ldapFilter.includes("{address}")) {
    throw wrong("ldapFilter", "must hold {address} where the address belongs");
  }
  try {
    FilterParser.parseString(filterFor(given.ldapFilter, "someone@example.org"));
  } catch (error) {
    throw wrong("ldapFilter", `is no LDAP filter: ${(error as Error).message}`);
  }
  if (given.ldapUser !== "" && given.ldapSecretFile === "") {
    throw wrong("ldapSecretFile", "is missing: ldapUser needs a password");
  }
}
