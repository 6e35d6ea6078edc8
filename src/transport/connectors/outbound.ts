/** One [outbound.NAME] of the configuration, held together or refused with the key that is wrong. */

import { isIP } from "node:net";
import { Misconfigured } from "#base/errors";
import { parseFingerprint } from "#contracts/link";
import { parseDomain } from "#formats/address";
import type {
  ConnectorHost,
  ConnectorLogin,
  ConnectorTls,
  OutboundConnector,
} from "#model/connector";
import { checkLogin, each, type Fault, faultsOf, tlsFloor } from "./faults.ts";
import type { OutboundValues } from "./parameters.ts";
import { parseWindow } from "./schedule.ts";
import { formatSpace, parseSpace } from "./space.ts";

/** What stands in for a "*" that nobody configured. */
export const defaultOutbound: OutboundConnector = {
  name: "default",
  spaces: [{ kind: "any" }],
  cost: 0,
  hosts: [],
  whenDown: "wait",
  via: "edge",
  protocol: "smtp",
  tls: { level: "opportunistic", names: [], pins: [], minVersion: "TLSv1.2", implicit: false },
  schedule: [],
  connections: 4,
  messagesPerSession: 20,
  messagesPerMinute: 0,
};

/**
 * @param values each fits by itself (outboundParameters)
 * @returns names of files in place of PEM, until `readConnectorFiles`
 * @throws Misconfigured "outbound.NAME.KEY …" when they cannot hold together
 */
export function completeOutbound(name: string, values: OutboundValues): OutboundConnector {
  const fault = faultsOf("outbound", name);
  if (name === defaultOutbound.name) {
    throw new Misconfigured(`outbound.${name}: the name is our own; "*" may be set under another`);
  }
  const login = loginOf(values, fault);
  const connector: OutboundConnector = {
    name,
    spaces: spacesOf(values, fault),
    cost: values.cost,
    hosts: hostsOf(values, fault),
    whenDown: values.whenDown as OutboundConnector["whenDown"],
    via: values.via as OutboundConnector["via"],
    protocol: values.protocol as OutboundConnector["protocol"],
    tls: tlsOf(values, fault),
    ...(login && { login }),
    ...localNames(values, fault),
    schedule: each(values.schedule, parseWindow, (text) =>
      fault("schedule", `holds "${text}", which is not written as "Mon-Fri 20:00-06:00"`),
    ),
    connections: values.connections,
    messagesPerSession: values.messagesPerSession,
    messagesPerMinute: values.messagesPerMinute,
  };
  checkWay(connector, fault);
  checkTls(connector, values, fault);
  return connector;
}

function spacesOf({ spaces }: OutboundValues, fault: Fault): OutboundConnector["spaces"] {
  if (spaces.length === 0) throw fault("spaces", "is empty: no mail would go this way");
  return each(spaces, parseSpace, (text) =>
    fault("spaces", `holds "${text}", which is neither a domain, nor .domain, nor *`),
  );
}

function hostsOf({ hosts, protocol, tlsImplicit }: OutboundValues, fault: Fault): ConnectorHost[] {
  const port = protocol === "lmtp" ? 24 : tlsImplicit ? 465 : 25;
  const read = each(
    hosts,
    (text) => parseHost(text, port),
    (text) => fault("hosts", `holds "${text}", which is not host, host:port or [IPv6]:port`),
  );
  return [...read];
}

function parseHost(text: string, usualPort: number): ConnectorHost | undefined {
  const match = /^(?:\[([0-9a-f:.]{2,45})\]|([^:[\]\s]{1,255}))(?::(\d{1,5}))?$/i.exec(text);
  const [, six, name, digits] = match ?? [];
  const port = digits === undefined ? usualPort : Number(digits);
  if (port < 1 || port > 65_535) return undefined;
  if (six !== undefined) return isIP(six) === 6 ? { host: six, port } : undefined;
  if (name === undefined) return undefined;
  const host = isIP(name) === 4 ? name : parseDomain(name, true);
  return host === null ? undefined : { host, port };
}

function tlsOf(values: OutboundValues, fault: Fault): ConnectorTls {
  const { tlsAuthorityFile, tlsCertificateFile, tlsKeyFile } = values;
  return {
    level: values.tls as ConnectorTls["level"],
    names: each(values.tlsNames, parseTlsName, (text) =>
      fault("tlsNames", `holds "${text}", which is no name of a certificate`),
    ),
    pins: each(values.tlsPins, parseFingerprint, (text) =>
      fault("tlsPins", `holds "${text}", which is not SHA-256 in hexadecimal`),
    ),
    ...(tlsAuthorityFile !== "" && { authorities: [tlsAuthorityFile] }),
    ...tlsFloor(values, fault),
    implicit: values.tlsImplicit,
    ...(tlsCertificateFile !== "" && {
      client: { certificate: tlsCertificateFile, key: tlsKeyFile },
    }),
  };
}

/** "mx.example.net", "*.example.net" (RFC 9525 §6.3) */
function parseTlsName(text: string): string | undefined {
  const wild = text.startsWith("*.") ? "*." : "";
  const domain = parseDomain(text.slice(wild.length), true);
  return domain === null ? undefined : `${wild}${domain}`;
}

function loginOf(values: OutboundValues, fault: Fault): ConnectorLogin | undefined {
  const { auth, user, secretFiles, secretMaxAgeDays, tls, hosts } = values;
  if (auth === "none") {
    if (user !== "") throw fault("user", "needs auth, which is none");
    if (secretFiles.length > 0) throw fault("secretFiles", "needs auth, which is none");
    return undefined;
  }
  if (user === "") throw fault("user", `is missing, which auth = "${auth}" needs`);
  checkLogin(values, fault);
  // Whoever stands between would otherwise take the login, or with SCRAM guess at it at leisure.
  if (tls !== "required" && tls !== "pinned") {
    throw fault("auth", 'needs tls = "required" or "pinned": nobody else may get the login');
  }
  // An MX is what the DNS says; a login is meant for one provider.
  if (hosts.length === 0) throw fault("auth", "needs hosts: no login goes to whatever the MX says");
  const mechanism = auth as ConnectorLogin["mechanism"];
  return { mechanism, user, secretFiles, secretMaxAgeDays };
}

function localNames(
  { sourceAddress, heloName }: OutboundValues,
  fault: Fault,
): Pick<OutboundConnector, "sourceAddress" | "heloName"> {
  if (sourceAddress !== "" && isIP(sourceAddress) === 0) {
    throw fault("sourceAddress", `is "${sourceAddress}", which is no address`);
  }
  const helo = heloName === "" ? undefined : parseDomain(heloName);
  if (helo === null) throw fault("heloName", `is "${heloName}", which is no host name`);
  return {
    ...(sourceAddress !== "" && { sourceAddress }),
    ...(helo !== undefined && { heloName: helo }),
  };
}

/** Hosts, who dials them, and what they speak. */
function checkWay({ hosts, via, protocol, whenDown, tls }: OutboundConnector, fault: Fault): void {
  if (protocol === "lmtp" && via === "edge") {
    throw fault("protocol", 'lmtp needs via = "inside": it is for mail stores of ours');
  }
  // The hub never dials the Internet, and an MX may lead there.
  if (via === "inside" && hosts.length === 0)
    throw fault("hosts", 'is empty, which via = "inside" needs');
  if (tls.implicit && hosts.length === 0) {
    throw fault("tlsImplicit", "needs hosts: an MX speaks STARTTLS");
  }
  if (whenDown === "wait") return;
  if (via === "inside") throw fault("whenDown", 'direct does not go with via = "inside"');
  if (hosts.length === 0) throw fault("whenDown", "direct needs hosts that can be down");
  if (tls.level === "pinned") {
    throw fault("whenDown", "direct does not go with tls = pinned: no other host has that key");
  }
}

/** What is set beside a level that does not look at it would be taken for protection. */
function checkTls({ tls, via }: OutboundConnector, values: OutboundValues, fault: Fault): void {
  const { level, pins, names, authorities, implicit } = tls;
  if (level === "none" && via === "edge") {
    throw fault("tls", 'none needs via = "inside": nothing crosses the Internet in the clear');
  }
  if (level === "none" && implicit) throw fault("tlsImplicit", "does not go with tls = none");
  if (level === "pinned" && pins.length === 0) {
    throw fault("tlsPins", "is empty: nothing would fit tls = pinned");
  }
  if (level !== "pinned" && pins.length > 0) throw fault("tlsPins", 'needs tls = "pinned"');
  if (level !== "required" && names.length > 0) throw fault("tlsNames", 'needs tls = "required"');
  if (level !== "required" && authorities !== undefined) {
    throw fault("tlsAuthorityFile", 'needs tls = "required"');
  }
  if ((values.tlsCertificateFile === "") !== (values.tlsKeyFile === "")) {
    const key = values.tlsKeyFile === "" ? "tlsKeyFile" : "tlsCertificateFile";
    throw fault(key, "is missing: a certificate needs its key");
  }
}

/** @throws Misconfigured when nothing but their names would say which of two connectors is used */
export function checkOutbound(connectors: readonly OutboundConnector[]): void {
  const seen = new Map<string, string>();
  for (const { name, spaces, cost } of connectors) {
    for (const space of spaces) {
      const place = `${formatSpace(space)} ${cost}`;
      const other = seen.get(place);
      if (other !== undefined) {
        const where = other === name ? "twice" : `at cost ${cost}, as [outbound.${other}] does`;
        throw new Misconfigured(`outbound.${name}.spaces holds ${formatSpace(space)} ${where}`);
      }
      seen.set(place, name);
    }
  }
}

/**
 * The same connector while none of its hosts answers: to the MX, with no less TLS, and with nothing
 * that was meant for those hosts alone.
 */
export function directOf({ login: _login, ...connector }: OutboundConnector): OutboundConnector {
  const { client: _client, authorities: _authorities, ...tls } = connector.tls;
  return { ...connector, hosts: [], tls: { ...tls, names: [], implicit: false } };
}
