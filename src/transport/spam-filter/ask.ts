/** One question to a spam filter: one connection, one deadline, and an answer whatever happens. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "#base/clock";
import type { Net } from "#base/net";
import { maxAnswerBytes, parseRspamdAnswer, parseSpamdAnswer } from "./answers.ts";
import { formatRspamdRequest, formatSpamdRequest } from "./requests.ts";
import type { SpamAnswer, SpamFilter, SpamFilterFault, SpamMail } from "./types.ts";

export interface SpamFilterPorts {
  readonly net: Pick<Net, "dial">;
  readonly clock: Clock;
}

/**
 * Asks about one message. A filter that is away, slow, broken or hostile is "unavailable"; nothing
 * of it throws. A message over `maxBytes` is left out whole: a part of it would be judged with
 * broken signatures, as a message that nobody sent.
 */
export async function askSpamFilter(
  filter: SpamFilter,
  mail: SpamMail,
  ports: SpamFilterPorts,
): Promise<SpamAnswer> {
  if (mail.sizeBytes > filter.maxBytes) return unavailable("too-large");
  const heldBytes = mail.octets.reduce((sum, piece) => sum + piece.length, 0);
  assert.equal(heldBytes, mail.sizeBytes, "octets of the message");

  const isRspamd = filter.kind === "rspamd";
  const head = isRspamd ? formatRspamdRequest(mail) : formatSpamdRequest(mail, ports.clock.nowMs());
  const answer = await exchange(filter, [head, ...mail.octets], ports);
  if (!Buffer.isBuffer(answer)) return unavailable(answer);
  const parsed = isRspamd ? parseRspamdAnswer(answer) : parseSpamdAnswer(answer);
  if (!parsed.ok) return unavailable(parsed.fault);
  return { kind: "score", name: filter.kind, ...parsed.value };
}

function unavailable(why: SpamFilterFault): SpamAnswer {
  return { kind: "unavailable", why };
}

/** Sends all and gives what came until the connection ended, however it ended. */
function exchange(
  filter: SpamFilter,
  request: readonly Uint8Array[],
  { net, clock }: SpamFilterPorts,
): Promise<Buffer | SpamFilterFault> {
  const { promise, resolve } = Promise.withResolvers<Buffer | SpamFilterFault>();
  let stream: Duplex | undefined;
  let isSettled = false;
  const settle = (outcome: Buffer | SpamFilterFault): void => {
    isSettled = true;
    timer.cancel();
    stream?.destroy();
    resolve(outcome);
  };
  const timer = clock.after(filter.timeoutMs, () => settle("timeout"));

  const chunks: Buffer[] = [];
  let heardBytes = 0;
  const hear = (chunk: Buffer): void => {
    heardBytes += chunk.length;
    if (heardBytes > maxAnswerBytes) settle("answer-too-long");
    else chunks.push(chunk);
  };
  const talk = (opened: Duplex): void => {
    stream = opened;
    // A filter may answer and close before it has read all: then what it said counts.
    const end = (): void => settle(Buffer.concat(chunks));
    opened.on("data", hear).on("end", end).on("error", end).on("close", end);
    if (isSettled) return void opened.destroy();
    // The end of our side stays open: rspamd takes a half-closed connection for one given up.
    opened.cork();
    for (const piece of request) opened.write(piece);
    opened.uncork();
  };
  dial(filter, net).then(talk, () => settle("no-connection"));
  return promise;
}

async function dial({ endpoint, timeoutMs }: SpamFilter, net: Pick<Net, "dial">): Promise<Duplex> {
  if (typeof endpoint !== "string") return net.dial(endpoint, timeoutMs);
  // `Net` knows hosts and ports only.
  return new Promise((resolve, reject) => {
    const socket = connect({ path: endpoint });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}
