/** Mail that leaves: submissions committed, the queue run, notices written, all through the edge. */

import { hash } from "node:crypto";
import { Misconfigured } from "#base/errors";
import { defaultsOf } from "#base/parameters";
import type { Submit } from "#contracts/submission";
import { parseHeader } from "#formats/message";
import type { MessageId } from "#model/mailbox";
import type { TraceStep } from "#model/trace";
import { createQueue, type Notice } from "#transport/queue";
import { smtpClientParameters, timeoutsOf } from "#transport/smtp-client";
import type { Edges } from "./edges.ts";
import { dialThroughEdge, resolverThroughEdge } from "./egress.ts";
import type { Inside } from "./inside.ts";
import { internalSender, type OutboundPorts, stage, submit } from "./outbound.ts";
import { ownNames } from "./own-names.ts";
import { signatures } from "./sign.ts";

/** Mail that we write ourselves. */
export interface OwnMail {
  /** 32 hexadecimal digits; the same id is committed once. */
  readonly id: MessageId;
  readonly reversePath: string;
  readonly recipients: readonly string[];
  /** Whose it is, in the trace and for readers here. */
  readonly sender: string;
  readonly content: Uint8Array;
  /** For the trace. */
  readonly step: Pick<TraceStep, "step" | "text">;
}

export interface Outgoing extends AsyncDisposable {
  readonly submit: Submit;
  /**
   * Signs for the sender's domain, delivers inside and queues the rest, in one commit.
   *
   * @throws Misconfigured without a DKIM key of that domain
   */
  readonly sendOwn: (own: OwnMail) => Promise<void>;
  /** Something may be due now. */
  readonly wake: () => void;
}

export function startOutgoing(inside: Inside, edges: Edges): Outgoing {
  const { store, settings } = inside;
  const queue = createQueue({
    ...inside,
    store: store.queue,
    messages: store.messages,
    resolver: resolverThroughEdge(() => edges.smtp.forKind("resolve"), inside.clock),
    dial: (to, timeoutMs) =>
      dialThroughEdge(edges.smtp.forKind("dial"), to, timeoutMs, inside.clock),
    notice: (notice) => commitNotice(notice, inside),
    attempted: (item, attempt) => inside.measures.attempted(item, attempt),
    parameters: settings.queue,
    timeouts: timeoutsOf(defaultsOf(smtpClientParameters)),
    heloName: settings.hostname,
    ourNames: [settings.hostname],
  });
  const ports: OutboundPorts = {
    ...inside,
    names: ownNames(inside.directory, settings.judging.partners),
    hostname: settings.hostname,
    queued: () => queue.wake(),
  };
  edges.onQueued(() => queue.wake());
  // Without a link nothing can leave; a link that comes back is the moment to look again.
  const stopListening = edges.smtp.onChange((_class, up) => {
    if (up) queue.wake();
  });
  const started = queue.start();
  return {
    submit: (submission) => submit(submission, ports),
    async sendOwn(own) {
      await commitOwn(own, await signedHead(own, inside), inside);
      queue.wake();
    },
    wake: () => queue.wake(),
    async [Symbol.asyncDispose]() {
      stopListening();
      await started;
      await queue.stop();
    },
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

async function commitOwn(own: OwnMail, head: Buffer, inside: Inside): Promise<void> {
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
      queuedAtMs: nowMs,
      nextAttemptAtMs: nowMs,
    })),
  });
}

function domainOf(address: string): string {
  return address.slice(address.lastIndexOf("@") + 1);
}
