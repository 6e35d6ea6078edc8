/**
 * Servers that take mail from inside, from a client that a certificate stands for, queue it and
 * deliver it to the outside: to a sink that keeps nothing, in a control group that nobody counts.
 */

import { spawn } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { selfSigned } from "../tests/kit/certificate.ts";
import { freePorts, startInstallation } from "../tests/kit/installation.ts";
import { peerFolder } from "../tests/kit/peer.ts";
import { portOpens } from "../tests/kit/port-opens.ts";
import { startPostfix } from "../tests/kit/postfix.ts";
import { controlGroup } from "./control-group.ts";
import type { Door } from "./smtp-postfix.ts";

export interface Sink {
  readonly port: number;
  /** Messages that came so far. */
  arrived(): number;
}

/** What the client shows. */
export interface ClientCertificate {
  /** PEM, certificate and key. */
  readonly file: string;
  readonly fingerprint256: string;
}

interface Ends {
  readonly sink: Sink;
  readonly client: ClientCertificate;
}

/** Connections to the next server, in both: what Postfix has when nobody says anything. */
const connections = 20;

const outside = "rcpt@outside.example";

export async function startSink(stack: AsyncDisposableStack, name: string): Promise<Sink> {
  const [port = 0] = await freePorts(1);
  const group = stack.use(controlGroup(`postern-bench-${name}-sink`));
  const args = ["-c", "-m", "1000", "-u", "nobody", `127.0.0.1:${port}`, "1000"];
  group.enter();
  const sink = spawn("/usr/sbin/smtp-sink", args, { stdio: ["ignore", "pipe", "inherit"] });
  group.leave();
  const kill = (): void => void sink.kill("SIGKILL");
  process.once("exit", kill);
  stack.defer(async () => {
    process.off("exit", kill);
    if (sink.exitCode !== null || sink.signalCode !== null) return;
    kill();
    await once(sink, "exit");
  });
  // "sess=1 quit=1 mesg=1", again and again.
  let last = "";
  sink.stdout.on("data", (chunk: Buffer) => {
    last = (last + chunk.toString("latin1")).slice(-200);
  });
  await portOpens(port, sink, "");
  return { port, arrived: () => Number([...last.matchAll(/mesg=(\d+)\s/g)].at(-1)?.[1] ?? 0) };
}

export function clientCertificate(stack: AsyncDisposableStack): ClientCertificate {
  const { cert, key } = selfSigned("inside.sender.example");
  const file = join(folderFor(stack), "client.pem");
  writeFileSync(file, cert + key);
  return { file, fingerprint256: new X509Certificate(cert).fingerprint256 };
}

function folderFor(stack: AsyncDisposableStack): string {
  const folder = peerFolder("relay");
  stack.defer(() => rmSync(folder, { recursive: true }));
  return folder;
}

export async function startPosternRelay(
  stack: AsyncDisposableStack,
  config: string,
  { sink, client }: Ends,
): Promise<Door> {
  const [port = 0] = await freePorts(1);
  const relaying = `${config}
[egress]
ports = ["25", "${sink.port}"]
private = true
[inbound.inside]
door = "relay"
networks = ["127.0.0.1"]
certificates = ["${client.fingerprint256}"]
senderDomains = ["sender.example"]
tls = "required"
mayRelay = true
[outbound.next]
spaces = ["*"]
hosts = ["127.0.0.1:${sink.port}"]
connections = ${connections}
`;
  const listen = { relay: `127.0.0.1:${port}` };
  stack.use(await startInstallation({ config: relaying, listen }));
  return { port, recipient: outside, manner: ["--certificate", client.file] };
}

export async function startPostfixRelay(
  stack: AsyncDisposableStack,
  { sink, client }: Ends,
): Promise<Door> {
  const { cert, key } = selfSigned("mx.sink.example");
  const chain = join(folderFor(stack), "chain.pem");
  writeFileSync(chain, key + cert, { mode: 0o600 });
  const extra = [
    `smtpd_tls_chain_files = ${chain}`,
    "smtpd_tls_security_level = encrypt",
    "smtpd_tls_ask_ccert = yes",
    "smtpd_tls_fingerprint_digest = sha256",
    `relay_clientcerts = inline:{ { ${client.fingerprint256} = inside } }`,
    "smtpd_relay_restrictions = permit_tls_clientcerts, reject",
    "smtpd_recipient_restrictions =",
    "mynetworks =",
    `relayhost = [127.0.0.1]:${sink.port}`,
    `smtp_destination_concurrency_limit = ${connections}`,
    "smtpd_client_connection_count_limit = 0",
    "smtpd_client_connection_rate_limit = 0",
    "smtpd_peername_lookup = no",
    "in_flow_delay = 0",
  ];
  const { port } = stack.use(await startPostfix("sink.example", extra.join("\n")));
  return { port, recipient: outside, manner: ["--certificate", client.file] };
}
