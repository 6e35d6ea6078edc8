/** The hub's way out: connections and look-ups that the edge makes on its behalf. */

import type { Duplex } from "node:stream";
import type { Clock } from "#base/clock";
import type { DnsAnswer, RecordData, RecordType, Resolver } from "#base/dns";
import { Unavailable } from "#base/errors";
import type { Endpoint } from "#base/net";
import { duplexOn, type Link, type LinkStream } from "#contracts/link";

/** Nothing was asked of anybody outside. */
export class NoAnswer extends Unavailable {}

/** Beyond the time the edge was given for its own work. */
const graceMs = 10_000;
const resolveMs = 60_000;

/** An edge that takes everything and answers nothing must not hold a turn of the queue for ever. */
async function answerOf(stream: LinkStream, clock: Clock, withinMs: number): Promise<unknown> {
  const timer = clock.after(withinMs, () => stream.abort("no answer in time"));
  try {
    return await stream.answered;
  } finally {
    timer.cancel();
  }
}

/**
 * A TCP connection from the edge's address, as a stream. TLS runs inside it from end to end, so the
 * edge carries ciphertext.
 *
 * @param to `from` is the address of the edge that it leaves from
 * @throws NoAnswer when the edge did not answer or has too much to do, Unavailable when it refuses or
 * nothing answered it
 */
export async function dialThroughEdge(
  link: Link | undefined,
  { host, port, from }: Endpoint & { readonly from?: string },
  timeoutMs: number,
  clock: Clock,
): Promise<Duplex> {
  if (link === undefined) throw new NoAnswer("no link to the edge");
  const stream = link.open("dial", { host, port, timeoutMs, ...(from !== undefined && { from }) });
  const duplex = duplexOn(stream);
  // Heard here already: nobody else may be there to hear that it broke.
  duplex.on("error", () => {});
  const answer = (await answerOf(stream, clock, timeoutMs + graceMs).catch((error: unknown) => {
    throw new NoAnswer(`the edge did not answer: ${String((error as Error).message)}`, {
      cause: error,
    });
  })) as { address?: unknown; refused?: unknown; isBusy?: unknown } | null;
  if (typeof answer?.address === "string") return duplex;
  duplex.destroy();
  const why = typeof answer?.refused === "string" ? answer.refused : "refused by the edge";
  if (answer?.isBusy === true) throw new NoAnswer(`the edge is busy: ${why}`);
  const at = `${host}:${port}`;
  throw new Unavailable(why.includes(at) ? why : `${at}: ${why}`);
}

/** The edge's resolver, asked over the link; no link is "failed", like any DNS that does not answer. */
export function resolverThroughEdge(
  link: () => Link | undefined,
  clock: Clock,
): Pick<Resolver, "query"> {
  return {
    async query<Type extends RecordType>(name: string, type: Type): Promise<DnsAnswer<Type>> {
      const up = link();
      if (up === undefined) return { kind: "failed", why: "no link to the edge" };
      try {
        const answer = await answerOf(up.open("resolve", { name, type }), clock, resolveMs);
        if (isAnswer(answer, type)) return answer;
        return { kind: "failed", why: "answer of a wrong shape" };
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        return { kind: "failed", why: error.message };
      }
    },
  };
}

/** The edge is hostile until checked; records themselves are as untrusted as any DNS answer. */
function isAnswer<Type extends RecordType>(value: unknown, type: Type): value is DnsAnswer<Type> {
  const { kind, records, authenticated } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (kind !== "found") return kind === "none" || kind === "failed";
  if (typeof authenticated !== "boolean") return false;
  if (!Array.isArray(records) || records.length === 0 || records.length > 1000) return false;
  const shape = Object.entries(shapes[type]);
  return records.every((record: unknown) => {
    const data = (record ?? {}) as Readonly<Record<string, unknown>>;
    return shape.every(([name, kindOf]) => typeof data[name] === kindOf);
  });
}

const shapes: { readonly [Type in RecordType]: Readonly<Record<keyof RecordData[Type], string>> } =
  {
    A: { address: "string" },
    AAAA: { address: "string" },
    MX: { preference: "number", exchange: "string" },
    TXT: { text: "string" },
    PTR: { name: "string" },
    CNAME: { name: "string" },
    NS: { name: "string" },
    SRV: { priority: "number", weight: "number", port: "number", target: "string" },
    TLSA: { usage: "number", selector: "number", matching: "number", data: "string" },
  };
