/** Mail that leaves: submissions committed, the queue run, notices written, all through the edge. */

import { hash } from "node:crypto";
import { join } from "node:path";
import { Misconfigured } from "#base/errors";
import { defaultsOf } from "#base/parameters";
import type { Submit } from "#contracts/submission";
import { parseHeader } from "#formats/message";
import type { OutboundConnector } from "#model/connector";
import type { MessageId } from "#model/mailbox";
import type { QueueItem } from "#model/queue";
import type { Reply } from "#model/reply";
import type { TraceStep } from "#model/trace";
import {
  createQueue,
  type FlightLog,
  type HostDeps,
  hostsFor,
  type Notice,
  openFlightLog,
  type Queue,
} from "#transport/queue";
import { smtpClientParameters, type Timeouts, timeoutsOf } from "#transport/smtp-client";
import type { ConnectorPorts } from "./admin-connectors.ts";
import { confirmDelivery } from "./confirmations.ts";
import { connectorHealth, type Health, probe } from "./connectors/index.ts";
import type { Edges } from "./edges.ts";
import type { Inside } from "./inside.ts";
import {
  internalSender,
  type OutboundPorts,
  type Party,
  type Sending,
  send,
  stage,
  submit,
} from "./outbound.ts";
import { ownNames } from "./own-names.ts";
import { limitSubmissions } from "./sending-limits.ts";
import { signatures } from "./sign.ts";
import { type TlsTo, tlsTo } from "./tls-to.ts";
import { type WaysOut, waysOut } from "./ways-out.ts";

/** Mail that we write ourselves. */
export interface OwnMail {
  /** 32 hexadecimal digits; the same id is committed once. */
  readonly id: MessageId;
  readonly reversePath: string;
  readonly recipients: readonly string[];
  /** Whose it is, in the trace and for readers here. */
  readonly sender: string;
  readonly content: Uint8Array;
  readonly requireTls?: boolean;
  /** "TLS-Required: No" (RFC 8689 §3). */
  readonly tlsOptional?: boolean;
  /** For the trace. */
  readonly step: Pick<TraceStep, "step" | "text">;
}

export interface Outgoing extends AsyncDisposable {
  readonly submit: Submit;
  /** The same for a server of ours. */
  readonly send: (sending: Sending, party: Party) => Promise<Reply>;
  /**
   * Signs for the sender's domain, delivers inside and queues the rest, in one commit.
   *
   * @throws Misconfigured without a DKIM key of that domain
   */
  readonly sendOwn: (own: OwnMail) => Promise<void>;
  /** Something may be due now. */
  readonly wake: () => void;
  /** An administrator wants to see it tried: what did not answer is asked now. */
  readonly lookNow: (domain?: string) => void;
  /** Why an item of the queue is not under way. */
  readonly explain: (item: QueueItem) => string;
  readonly connectors: ConnectorPorts["connectors"];
  /** What mail to the domain would meet. */
  readonly tlsTo: (domain: string) => Promise<TlsTo>;
}

export function startOutgoing(inside: Inside, edges: Edges): Outgoing {
  const { settings } = inside;
  const ways = waysOut(inside, edges);
  const health = connectorHealth();
  const flight = openFlightLog(join(settings.folder, "queue"));
  const queue = queueOver(inside, { ways, health, flight });
  const ports: OutboundPorts = {
    ...inside,
    names: ownNames(inside.directory, settings.judging.partners),
    hostname: settings.hostname,
    queued: () => queue.wake(),
    accepted: (acceptance) =>
      confirmDelivery(acceptance, {
        ...inside,
        commit: (own) => commitOwn(own, Buffer.alloc(0), inside),
        queued: () => queue.wake(),
      }),
  };
  edges.onQueued(() => queue.wake());
  // Without a link nothing can leave; a link that comes back is the moment to look again.
  const stopListening = edges.smtp.onChange((_class, up) => {
    if (up) queue.wake();
  });
  const started = queue.start();
  return {
    submit: limitSubmissions((submission) => submit(submission, ports), {
      ...inside,
      limits: settings.submission,
    }),
    send: (sending, party) => send(sending, party, ports),
    async sendOwn(own) {
      await commitOwn(own, await signedHead(own, inside), inside);
      queue.wake();
    },
    wake: () => queue.wake(),
    lookNow: (domain) => queue.lookNow(domain),
    explain: (item) => queue.explain(item),
    ...lookingOut(inside, ways, health),
    async [Symbol.asyncDispose]() {
      stopListening();
      await started;
      await queue.stop();
      flight[Symbol.dispose]();
      await ways[Symbol.asyncDispose]();
    },
  };
}

const timeouts: Timeouts = timeoutsOf(defaultsOf(smtpClientParameters));

function queueOver(
  inside: Inside,
  { ways, health, flight }: { ways: WaysOut; health: Health; flight: FlightLog },
): Queue {
  const { store, settings } = inside;
  return createQueue({
    ...inside,
    ...ways,
    store: store.queue,
    messages: store.messages,
    flight,
    notice: (notice) => commitNotice(notice, inside),
    attempted: (item, attempt) => {
      inside.measures.attempted(item, attempt);
      health.attempted(attempt.connector ?? "", attempt);
    },
    parameters: settings.queue,
    timeouts,
    heloName: settings.hostname,
    ourNames: [settings.hostname],
    postmaster: `postmaster@${settings.domain}`,
  });
}

/** What administrators try without mail. */
function lookingOut(
  { random, settings, clock }: Inside,
  ways: WaysOut,
  health: Health,
): Pick<Outgoing, "connectors" | "tlsTo"> {
  const { outbound, hostname: heloName, queue } = settings;
  const { privateNetworks } = queue;
  const deps: HostDeps = { ...ways, random, ourNames: [heloName], privateNetworks };
  const ports = {
    ...{ ...ways, outbound, heloName, timeouts, clock },
    hostsFor: (connector: OutboundConnector, domain: string) => hostsFor(connector, domain, deps),
  };
  return {
    connectors: { health, probe: (connector, domain) => probe(ports, connector, domain) },
    tlsTo: (domain) => tlsTo(domain, ports),
  };
}

/** A notice goes to its reader's mailbox, or out; its id makes it happen once. */
function commitNotice(notice: Notice, inside: Inside): Promise<void> {
  const own = {
    id: notice.id,
    reversePath: "",
    recipients: [notice.to],
    sender: `mailer-daemon@${inside.settings.hostname}`,
    content: notice.content,
    step: { step: "bounced", text: `${notice.kind} notice about ${notice.item.recipient}` },
    // RFC 8689 §5: what is said of such a message is protected as it was.
    ...(notice.item.requireTls === true && { requireTls: true }),
  };
  return commitOwn(own, Buffer.alloc(0), inside);
}

async function signedHead({ sender, content }: OwnMail, inside: Inside): Promise<Buffer> {
  const domain = domainOf(sender);
  const unsigned = { octets: [content], header: parseHeader(content), missing: "" };
  const fields = await signatures(unsigned, domain, inside);
  if (fields === "") throw new Misconfigured(`there is no DKIM key of ${domain}`);
  return Buffer.from(fields);
}

/** @param head "" without a signature, as of notices */
export async function commitOwn(own: OwnMail, head: Uint8Array, inside: Inside): Promise<void> {
  const { store, directory, clock, settings } = inside;
  const content = await stage([own.content], store);
  const nowMs = clock.nowMs();
  const accounts = new Set<string>();
  const elsewhere = new Set<string>();
  for (const to of own.recipients) {
    for (const one of directory.resolve(to)) {
      if (one.kind === "account") accounts.add(one.account);
      else elsewhere.add(one.address);
    }
    if (!directory.isLocalDomain(domainOf(to))) elsewhere.add(to);
  }
  // A notice about nobody's mail: it is kept, and ends here.
  if (accounts.size + elsewhere.size === 0) {
    inside.log.write("warn", "queue.double-bounce", { id: own.id });
  }
  await store.accept({
    id: own.id,
    direction: "notice",
    connection: {
      listener: "queue",
      clientAddress: "127.0.0.1",
      clientPort: 0,
      helo: settings.hostname,
      extended: true,
    },
    envelope: {
      reversePath: own.reversePath,
      recipients: own.recipients.map((path) => ({ path })),
    },
    verdicts: [internalSender(own.sender)],
    decision: { disposition: "accept", opinions: [] },
    head,
    content,
    acceptedAtMs: nowMs,
    steps: [{ atMs: nowMs, program: "hub", ...own.step }],
    deliveries: [...accounts].map((account) => ({ account, mailbox: "inbox", flags: [] })),
    queue: [...elsewhere].map((recipient) => ({
      id: hash("sha256", `${own.id}\0${recipient}`).slice(0, 32),
      reversePath: own.reversePath,
      recipient,
      wishes: { notify: ["never"] },
      utf8: false,
      ...(own.requireTls === true && { requireTls: true }),
      ...(own.tlsOptional === true && { tlsOptional: true }),
      queuedAtMs: nowMs,
      nextAttemptAtMs: nowMs,
    })),
  });
}

function domainOf(address: string): string {
  return address.slice(address.lastIndexOf("@") + 1);
}
