/** Mail that leaves: submissions committed, the queue run, notices written, all through the edge. */

import { hash } from "node:crypto";
import { defaultsOf } from "#base/parameters";
import type { Submit } from "#contracts/submission";
import { createQueue, type Notice } from "#transport/queue";
import { smtpClientParameters, timeoutsOf } from "#transport/smtp-client";
import type { Edges } from "./edges.ts";
import { dialThroughEdge, resolverThroughEdge } from "./egress.ts";
import type { Inside } from "./inside.ts";
import { type OutboundPorts, submit } from "./outbound.ts";

export interface Outgoing extends AsyncDisposable {
  readonly submit: Submit;
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
    wake: () => queue.wake(),
    async [Symbol.asyncDispose]() {
      stopListening();
      await started;
      await queue.stop();
    },
  };
}

/** A notice goes to its reader's mailbox, or out, in one commit; its id makes it happen once. */
async function commitNotice(notice: Notice, inside: Inside): Promise<void> {
  const { store, directory, clock, settings } = inside;
  const writer = store.stage();
  await writer.write(notice.content);
  const content = await writer.finish();
  const nowMs = clock.nowMs();
  const destinations = directory.resolve(notice.to);
  const itemId = (address: string): string =>
    hash("sha256", `${notice.id}\0${address}`).slice(0, 32);
  const elsewhere = directory.isLocalDomain(domainOf(notice.to))
    ? destinations.flatMap((one) => (one.kind === "elsewhere" ? [one.address] : []))
    : [notice.to];
  await store.accept({
    id: notice.id,
    direction: "notice",
    connection: {
      listener: "queue",
      clientAddress: "127.0.0.1",
      clientPort: 0,
      helo: settings.hostname,
      extended: true,
    },
    envelope: { reversePath: "", recipients: [{ path: notice.to }] },
    verdicts: [],
    decision: { disposition: "accept", opinions: [] },
    head: Buffer.alloc(0),
    content,
    acceptedAtMs: nowMs,
    steps: [
      {
        atMs: nowMs,
        program: "hub",
        step: "bounced",
        text: `${notice.kind} notice about ${notice.item.recipient}`,
      },
    ],
    deliveries: destinations.flatMap((one) =>
      one.kind === "account"
        ? [{ account: one.account, mailbox: "inbox" as const, flags: [] }]
        : [],
    ),
    queue: elsewhere.map((recipient) => ({
      id: itemId(recipient),
      reversePath: "",
      recipient,
      wishes: { notify: ["never"] as const },
      utf8: false,
      queuedAtMs: nowMs,
      nextAttemptAtMs: nowMs,
    })),
  });
}

function domainOf(address: string): string {
  return address.slice(address.lastIndexOf("@") + 1);
}
