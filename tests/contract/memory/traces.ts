/** What became of messages, in memory. */

import type { TraceStore } from "#contracts/store";
import type { MessageId } from "#model/mailbox";
import type { TraceStatus, TraceStep, TraceSummary } from "#model/trace";
import { by, isOpen, type Kept, type MemoryState } from "./state.ts";
import { wordsOf } from "./words.ts";

export function traceStore(state: MemoryState): TraceStore {
  const { messages } = state;
  return {
    async find({ text = "", sinceMs = 0, limit }) {
      const all = [...messages.values()].reverse().flatMap((kept) => summaryOf(state, kept) ?? []);
      const found = all.filter(({ atMs, from, to, messageIdHeader = "" }) => {
        const texts = [from, ...to, messageIdHeader].map((one) => one.toLowerCase());
        return atMs >= sinceMs && texts.some((one) => one.includes(text.toLowerCase()));
      });
      return found.slice(0, limit);
    },
    async show(id) {
      const kept = messages.get(id);
      const summary = kept && summaryOf(state, kept);
      if (kept === undefined || summary === undefined) return undefined;
      const steps = [...firstSteps(state, kept), ...kept.steps];
      const connection = kept.accepted?.connection ?? kept.refused?.connection;
      return {
        ...summary,
        ...(connection && { connection }),
        steps: steps.sort(by((step) => [step.atMs])),
      };
    },
  };
}

function summaryOf(state: MemoryState, kept: Kept): TraceSummary | undefined {
  const { id, octets, accepted, refused } = kept;
  if (refused !== undefined) {
    const { atMs, connection, reversePath: from, recipients: to } = refused;
    const direction = connection.authenticated === undefined ? "inbound" : "submission";
    return { id, atMs, direction, from, to, sizeBytes: 0, status: "refused" };
  }
  if (accepted === undefined) return undefined;
  const { direction, envelope, acceptedAtMs: atMs, head } = accepted;
  const header = octets.subarray(head.length).toString("latin1").split("\r\n\r\n")[0] ?? "";
  const messageIdHeader = /^message-id:\s*(<\S+>)/im.exec(header)?.[1];
  return {
    ...{ id, atMs, direction, from: envelope.reversePath, sizeBytes: octets.length },
    to: envelope.recipients.map(({ path }) => path),
    status: statusOf(state, id),
    ...(messageIdHeader !== undefined && { messageIdHeader }),
  };
}

function statusOf({ queue }: MemoryState, id: MessageId): TraceStatus {
  const items = [...queue.values()].filter(({ message }) => message === id);
  if (items.some(isOpen)) return "waiting";
  const first = (["failed", "dropped"] as const).find((wanted) =>
    items.some((item) => item.state === wanted),
  );
  return first ?? "delivered";
}

function firstSteps(state: MemoryState, { accepted, refused, places }: Kept): TraceStep[] {
  if (refused !== undefined) {
    const { atMs, reply, steps } = refused;
    return [...steps, { atMs, program: "hub", step: "refused", text: wordsOf(reply) }];
  }
  const { acceptedAtMs: atMs = 0, steps = [], queue = [] } = accepted ?? {};
  const step = (word: string, text: string): TraceStep => ({
    atMs,
    program: "hub",
    step: word,
    text,
  });
  const delivered = places.map(({ account, mailbox }) => {
    const name = state.boxes.get(mailbox)?.name ?? "a mailbox removed since";
    return step("delivered", `to ${name} of ${state.accounts.get(account)?.address ?? account}`);
  });
  const queued = queue.map(({ recipient }) => step("queued", `for ${recipient}`));
  return [...steps, step("committed", "kept in the store"), ...delivered, ...queued];
}
