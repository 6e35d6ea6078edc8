/** What the legacy layouts need, as the seed's first chapter lists it (CAP-5 to CAP-8). */

import { type Actor, type FlowFact, tcp, udp } from "./flow.ts";
import type { FrontEndService, PortRange, Topology } from "./topology.ts";

/** Ports between an Exchange server and the domain controllers. */
function directoryPorts(
  rpcPort: number,
): readonly (readonly [ports: readonly PortRange[], what: string, breaks: string])[] {
  const rpc: readonly [readonly PortRange[], string, string] =
    rpcPort > 0
      ? [[tcp(rpcPort)], "RPC, static port", "directory lookups over RPC fail"]
      : [
          [tcp(1025, 65_535)],
          "RPC, dynamic port",
          "directory lookups over RPC fail; the port changes with each restart of the controller",
        ];
  return [
    [[udp(53), tcp(53)], "DNS", "no domain controller is found by name"],
    [[udp(88), tcp(88)], "Kerberos", "no login and no service ticket"],
    [[tcp(135)], "RPC endpoint mapper", "the port of an RPC service is not found"],
    [[tcp(389)], "LDAP", "configuration and recipients are not read"],
    [[tcp(3268)], "global catalogue", "recipients of other domains are not found"],
    rpc,
  ];
}

const backEndPorts: readonly (readonly [
  service: FrontEndService | "always",
  port: number,
  what: string,
  breaks: string,
])[] = [
  ["smtp", 25, "SMTP", "the front end hands no mail on"],
  ["owa", 80, "OWA and ActiveSync, plain HTTP", "no webmail and no mobile sync"],
  ["pop3", 110, "POP3, plain", "no mail for POP3 clients"],
  ["imap4", 143, "IMAP4, plain", "no mail for IMAP4 clients"],
  ["always", 691, "link state", "routing between the servers goes by stale links"],
];

const clientPorts: readonly (readonly [
  service: FrontEndService,
  port: number,
  what: string,
  breaks: string,
])[] = [
  ["smtp", 25, "SMTP", "no mail from outside arrives"],
  ["owa", 443, "OWA over SSL", "people outside reach no webmail"],
  ["pop3", 995, "POP3 over SSL", "POP3 clients outside reach no mail"],
  ["imap4", 993, "IMAP4 over SSL", "IMAP4 clients outside reach no mail"],
];

const directoryReason = "an Exchange server is a member of the domain and asks its controllers";

/** @param services those that some front end of the plan is used for */
export function legacyFacts(
  topology: Topology,
  services: ReadonlySet<FrontEndService>,
): readonly FlowFact[] {
  const toDirectory = (from: Actor): FlowFact[] =>
    directoryPorts(topology.rpcPort).map(([ports, what, breaks]) => ({
      from,
      to: "domain-controller",
      ports,
      what,
      reason: directoryReason,
      breaks,
    }));
  const used = clientPorts.filter(([service]) => services.has(service));
  const passed = backEndPorts.filter(([service]) => service === "always" || services.has(service));
  return [
    ...used.map(
      ([, port, what, breaks]): FlowFact => ({
        from: "internet",
        to: "front-end",
        ports: [tcp(port)],
        what,
        reason: "the front end stands between the Internet and the mailboxes",
        breaks,
      }),
    ),
    ...toDirectory("front-end"),
    ...passed.map(
      ([, port, what, breaks]): FlowFact => ({
        from: "front-end",
        to: "back-end",
        ports: [tcp(port)],
        what,
        reason: "the front end passes requests to the server that has the mailbox",
        breaks,
      }),
    ),
    ...toDirectory("back-end"),
    {
      from: "internet",
      to: "reverse-proxy",
      ports: [tcp(443)],
      what: "HTTPS",
      reason: "the reverse proxy decrypts, inspects the URL and passes on what is allowed",
      breaks: "people outside reach no webmail and no mobile sync",
    },
    {
      from: "reverse-proxy",
      to: "front-end",
      ports: [tcp(443)],
      what: "HTTPS, encrypted again",
      reason: "inspected requests go to the front end inside",
      breaks: "the reverse proxy has nowhere to pass requests to",
    },
  ];
}
