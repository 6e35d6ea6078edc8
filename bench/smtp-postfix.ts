/** Postfix of the SMTP bench: the lines that each of them has. */

import { join } from "node:path";
import type { Endpoint } from "#base/net";
import { startPostfix } from "../tests/kit/postfix.ts";
import { startRspamd } from "../tests/kit/rspamd.ts";
import { clientAddress } from "./signed-mail.ts";

/** Where the load goes. */
export interface Door {
  readonly port: number;
  readonly recipient: string;
  /** How it comes: options of smtp-load.ts. */
  readonly manner: readonly string[];
}

export const recipient = "rcpt@sink.example";

/** By PROXY, so that nobody takes the client for one of his own network. */
export const manner: readonly string[] = ["--proxied", clientAddress];

export const discarding: readonly string[] = [
  "virtual_transport = discard:",
  "smtpd_client_connection_count_limit = 0",
  "smtpd_client_connection_rate_limit = 0",
  "smtpd_upstream_proxy_protocol = haproxy",
  "in_flow_delay = 0",
  // Otherwise it learns the clients' names from the machine's own resolver.
  "smtpd_peername_lookup = no",
];

/** By sockets of the file system: by TCP, each holds a message back for the delayed ACK of 40 ms. */
export function milters(...sockets: readonly string[]): readonly string[] {
  const names = sockets.map((path) => `unix:${path}`);
  return [`smtpd_milters = ${names.join(", ")}`, "milter_default_action = tempfail"];
}

export async function startPostfixDiscard(stack: AsyncDisposableStack): Promise<Door> {
  const { port } = stack.use(await startPostfix("sink.example", discarding.join("\n")));
  return { port, recipient, manner };
}

export async function startPostfixRspamd(
  stack: AsyncDisposableStack,
  dns: Endpoint,
): Promise<Door> {
  const rspamd = stack.use(await startRspamd("", dns, true));
  const extra = [...discarding, ...milters(join(rspamd.folder, "milter.sock"))].join("\n");
  const { port } = stack.use(await startPostfix("sink.example", extra));
  return { port, recipient, manner };
}
