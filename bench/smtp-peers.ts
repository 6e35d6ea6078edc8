/** The mail servers that the SMTP bench stands side by side, each in a control group of its own. */

import { startFakeDns } from "../tests/kit/fake-dns.ts";
import { freePorts, startInstallation } from "../tests/kit/installation.ts";
import { startPostfix } from "../tests/kit/postfix.ts";
import { startRspamd } from "../tests/kit/rspamd.ts";
import { type ControlGroup, controlGroup } from "./control-group.ts";
import type { SignedMail } from "./signed-mail.ts";

export interface Server {
  readonly name: string;
  readonly port: number;
  readonly recipient: string;
  readonly group: ControlGroup;
}

/** Generous limits: the load comes from one address, behind a balancer. What it sends is judged all the same. */
const postern = (dns: string): string => `
[smtp]
connections = 10000
connectionsPerAddress = 10000
connectionsPerNetwork = 10000
[edge]
replayLimit = 0
[abuse]
allow = ["198.18.0.0/15"]
[balancer]
mail = ["127.0.0.0/8"]
[dns]
servers = ["${dns}"]
`;

const discarding = [
  "virtual_transport = discard:",
  "smtpd_client_connection_count_limit = 0",
  "smtpd_client_connection_rate_limit = 0",
  "smtpd_upstream_proxy_protocol = haproxy",
  "in_flow_delay = 0",
  // Otherwise it learns the clients' names from the machine's own resolver.
  "smtpd_peername_lookup = no",
];

const recipient = "rcpt@sink.example";

/** @param names of `postern`, `postfix-discard`, `postfix-rspamd` */
export async function startServers(
  stack: AsyncDisposableStack,
  names: readonly string[],
  { zone }: SignedMail,
): Promise<Server[]> {
  const dns = stack.use(await startFakeDns(zone, { ttl: 86_400 }));
  const starters: Readonly<Record<string, () => Promise<Omit<Server, "name" | "group">>>> = {
    async postern() {
      const { host, port: dnsPort } = dns.endpoint;
      const config = postern(`${host}:${dnsPort}`);
      const { smtp, accounts } = stack.use(await startInstallation({ config })).ready();
      return { port: smtp.port, recipient: accounts[0]?.address ?? "" };
    },
    async "postfix-discard"() {
      const { port } = stack.use(await startPostfix("sink.example", discarding.join("\n")));
      return { port, recipient };
    },
    async "postfix-rspamd"() {
      const [milterPort = 0] = await freePorts(1);
      stack.use(await startRspamd("", dns.endpoint, milterPort));
      const milter = [
        `smtpd_milters = inet:127.0.0.1:${milterPort}`,
        "milter_default_action = tempfail",
      ];
      const extra = [...discarding, ...milter].join("\n");
      const { port } = stack.use(await startPostfix("sink.example", extra));
      return { port, recipient };
    },
  };
  const servers: Server[] = [];
  for (const name of names) {
    const start = starters[name];
    if (start === undefined)
      throw new Error(`no server "${name}": ${Object.keys(starters).join(", ")}`);
    const group = stack.use(controlGroup(`postern-bench-${name}`));
    group.enter();
    try {
      servers.push({ name, group, ...(await start()) });
    } finally {
      group.leave();
    }
  }
  return servers;
}
