/** One conversation with a milter: one connection, one deadline, and an answer whatever happens. */

import { connect } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "#base/clock";
import type { Net } from "#base/net";
import { type Packet, PacketReader, parseAgreement, parseReply, type Reply } from "./answers.ts";
import type { StepName } from "./protocol.ts";
import { fitsPackets, negotiation, quit, stepsOf } from "./requests.ts";
import type {
  Milter,
  MilterAnswer,
  MilterFault,
  MilterField,
  MilterMail,
  MilterVerdict,
} from "./types.ts";

export interface MilterPorts {
  readonly net: Pick<Net, "dial">;
  readonly clock: Clock;
}

/**
 * Shows a message to a milter from connect to end of message, as if it came in now. One that is away,
 * slow, broken or hostile is "unavailable"; nothing of it throws.
 */
export async function askMilter(
  milter: Milter,
  mail: MilterMail,
  ports: MilterPorts,
): Promise<MilterAnswer> {
  if (mail.sizeBytes > milter.maxBytes || !fitsPackets(mail)) return unavailable("too-large");
  const line = openLine(milter, ports);
  const answer = await converse(line, mail);
  line.close();
  return answer;
}

function unavailable(why: MilterFault): MilterAnswer {
  return { kind: "unavailable", why };
}

async function converse(line: Line, mail: MilterMail): Promise<MilterAnswer> {
  line.send(negotiation());
  const first = await line.next();
  if (typeof first === "string") return unavailable(first);
  const agreed = parseAgreement(first);
  if (!agreed.ok) return unavailable(agreed.fault);
  let refusedRecipients = 0;
  let skipsBody = false;
  for (const { name, octets, isAnswered } of stepsOf(mail, agreed.value)) {
    if (name === "body" && skipsBody) continue;
    line.send(octets);
    if (name === "end") return concluded(line, refusedRecipients, mail.envelope.recipients.length);
    if (!isAnswered) continue;
    const reply = await replyOf(line);
    if (typeof reply === "string") return unavailable(reply);
    if (reply.kind === "skip" && name === "body") skipsBody = true;
    else if (name === "rcpt" && isRefusal(reply)) refusedRecipients += 1;
    else if (reply.kind !== "continue") return early(reply, name);
  }
  return unavailable("bad-answer"); // the end is never left out
}

/** A milter may decide before it has seen all. */
function early(reply: Reply, at: StepName): MilterAnswer {
  const verdict = verdictOf(reply);
  return verdict === undefined || (reply.kind === "quarantine" && at !== "end")
    ? unavailable("bad-answer")
    : { kind: "judged", verdict, fields: [], refused: [] };
}

function isRefusal({ kind }: Reply): boolean {
  return kind === "reject" || kind === "defer" || kind === "discard";
}

/** What comes behind the end of the message: changes, then the verdict. */
async function concluded(line: Line, refusals: number, recipients: number): Promise<MilterAnswer> {
  const fields: MilterField[] = [];
  const refused: string[] = [];
  let quarantine: MilterVerdict | undefined;
  for (;;) {
    const reply = await replyOf(line);
    if (typeof reply === "string") return unavailable(reply);
    if (reply.kind === "field") fields.push(reply.field);
    else if (reply.kind === "refused-change") refused.push(reply.what);
    else if (reply.kind === "quarantine") quarantine = verdictOf(reply);
    else {
      const said = verdictOf(reply);
      if (said === undefined) return unavailable("bad-answer");
      const isMild = said.kind === "accept";
      const verdict = isMild ? (quarantine ?? forRecipients(refusals, recipients)) : said;
      return { kind: "judged", verdict, fields, refused };
    }
    if (fields.length + refused.length > maxChanges) return unavailable("answer-too-long");
  }
}

/** Ours; honest milters ask for a handful. */
const maxChanges = 100;

/**
 * When a milter is asked, all recipients have been accepted, and one answer is left for all of them:
 * one that the milter would have refused among others makes the message doubtful, no more.
 */
function forRecipients(refusals: number, recipients: number): MilterVerdict {
  if (refusals === 0) return { kind: "accept" };
  return refusals === recipients
    ? { kind: "reject", why: "every recipient was refused" }
    : { kind: "quarantine", why: `${refusals} of ${recipients} recipients were refused` };
}

function verdictOf(reply: Reply): MilterVerdict | undefined {
  switch (reply.kind) {
    case "accept":
    case "continue":
      return { kind: "accept" };
    case "reject":
    case "defer":
    case "quarantine":
      return { kind: reply.kind, why: reply.why };
    case "discard":
      return { kind: "quarantine", why: "it would have thrown the message away" };
    default:
      return undefined;
  }
}

/** The next reply that is one: "still at work" is passed over, and the deadline stands. */
async function replyOf(line: Line): Promise<Reply | MilterFault> {
  for (;;) {
    const packet = await line.next();
    if (typeof packet === "string") return packet;
    const reply = parseReply(packet);
    if (!reply.ok) return reply.fault;
    if (reply.value.kind !== "progress") return reply.value;
  }
}

/** A connection that is dialled while the first words wait for it. */
interface Line {
  send(octets: Uint8Array): void;
  next(): Promise<Packet | MilterFault>;
  close(): void;
}

function openLine(milter: Milter, { net, clock }: MilterPorts): Line {
  const reader = new PacketReader();
  const heard: Packet[] = [];
  const unsent: Uint8Array[] = [];
  let stream: Duplex | undefined;
  let fault: MilterFault | undefined;
  let wake: (() => void) | undefined;
  const fail = (why: MilterFault): void => {
    fault ??= why;
    timer.cancel();
    stream?.destroy();
    wake?.();
  };
  const timer = clock.after(milter.timeoutMs, () => fail("timeout"));
  const talk = (opened: Duplex): void => {
    stream = opened;
    const cut = (): void => fail("cut-off");
    opened.on("error", cut).on("end", cut).on("close", cut);
    if (fault !== undefined) return void opened.destroy();
    opened.on("data", (chunk: Buffer) => {
      const packets = reader.push(chunk);
      if (!packets.ok) return fail(packets.fault);
      heard.push(...packets.value);
      wake?.();
    });
    for (const octets of unsent.splice(0)) opened.write(octets);
  };
  dial(milter, net).then(talk, () => fail("no-connection"));
  return {
    send: (octets) => void (stream === undefined ? unsent.push(octets) : stream.write(octets)),
    async next() {
      // Packets that came before the fault count: a milter may answer and close at once.
      while (heard.length === 0 && fault === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return heard.shift() ?? fault ?? "cut-off";
    },
    close() {
      // The deadline stays set: whoever does not read our farewell is cut off then.
      if (stream === undefined || fault !== undefined) fail("cut-off");
      else stream.end(quit, () => fail("cut-off"));
    },
  };
}

async function dial({ endpoint, timeoutMs }: Milter, net: Pick<Net, "dial">): Promise<Duplex> {
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
