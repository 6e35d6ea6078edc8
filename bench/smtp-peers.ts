/** The mail servers that the SMTP bench stands side by side, each in a control group of its own. */

import { startFakeDns } from "../tests/kit/fake-dns.ts";
import { startInstallation } from "../tests/kit/installation.ts";
import { type ControlGroup, controlGroup } from "./control-group.ts";
import { interrupted } from "./interrupt.ts";
import type { SignedMail } from "./signed-mail.ts";
import { startEximAuth, startHaraka, startPostfixOpendkim } from "./smtp-checkers.ts";
import { type Door, manner, startPostfixDiscard, startPostfixRspamd } from "./smtp-postfix.ts";
import {
  clientCertificate,
  type Sink,
  startPosternRelay,
  startPostfixRelay,
  startSink,
} from "./smtp-relays.ts";

export interface Server extends Door {
  readonly name: string;
  readonly group: ControlGroup;
  /** Where a relay delivers. */
  readonly sink?: Sink;
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

/** Some ask the resolver of the system, which knows one port only. */
const dnsEndpoint = { host: "127.53.0.1", port: 53 };

/** @param names as the head of smtp.ts lists them */
export async function startServers(
  stack: AsyncDisposableStack,
  names: readonly string[],
  { zone }: SignedMail,
): Promise<Server[]> {
  const dns = stack.use(await startFakeDns(zone, { ttl: 86_400, listen: dnsEndpoint })).endpoint;
  const config = postern(`${dns.host}:${dns.port}`);
  const client = clientCertificate(stack);
  const starters: Readonly<Record<string, () => Promise<Door>>> = {
    async postern() {
      const { smtp, accounts } = stack.use(await startInstallation({ config })).ready();
      return { port: smtp.port, recipient: accounts[0]?.address ?? "", manner };
    },
    "postfix-discard": () => startPostfixDiscard(stack),
    "postfix-rspamd": () => startPostfixRspamd(stack, dns),
    "postfix-opendkim": () => startPostfixOpendkim(stack, dns),
    "exim-auth": () => startEximAuth(stack, dns),
    "haraka-mailauth": () => startHaraka(stack, dns),
  };
  const delivering: Readonly<Record<string, (sink: Sink) => Promise<Door>>> = {
    "haraka-queue": (sink) => startHaraka(stack, dns, sink),
    "postern-relay": (sink) => startPosternRelay(stack, config, { sink, client }),
    "postfix-relay": (sink) => startPostfixRelay(stack, { sink, client }),
  };
  const servers: Server[] = [];
  for (const name of names) {
    interrupted.throwIfAborted();
    const deliver = delivering[name];
    const sink = deliver && (await startSink(stack, name));
    const start = deliver && sink ? (): Promise<Door> => deliver(sink) : starters[name];
    if (start === undefined) {
      const all = [...Object.keys(starters), ...Object.keys(delivering)];
      throw new Error(`no server "${name}": ${all.join(", ")}`);
    }
    const group = stack.use(controlGroup(`postern-bench-${name}`));
    group.enter();
    try {
      servers.push({ ...(await start()), name, group, ...(sink && { sink }) });
    } finally {
      group.leave();
    }
  }
  return servers;
}
