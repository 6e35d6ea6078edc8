/** DNS block lists of client addresses (RFC 5782): whoever is silent is not believed. */

import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import { parseIp } from "#base/ip";
import { parseDomain } from "#formats/address";

export interface BlockList {
  readonly zone: string;
  /** Answers that count; absent: all that mean "listed". */
  readonly answers?: ReadonlySet<string>;
}

export interface Listing {
  readonly zone: string;
  /** The list's own words, printable; "" when it has none. */
  readonly reason: string;
}

/** failed: no answer in time, or none that can be used; the client counts as not listed. */
export type ListOutcome = "listed" | "clear" | "failed" | "misused";

export interface BlockListPorts {
  readonly resolver: Pick<Resolver, "query">;
  readonly clock: Clock;
  /** What each list said. misused: its operator refuses to answer us. */
  asked(zone: string, outcome: ListOutcome): void;
}

const withinMs = 5000;
const maxReason = 200;

/** @returns undefined when it is neither "zone" nor "zone=127.0.0.2,127.0.0.4" */
export function parseBlockList(text: string): BlockList | undefined {
  const [name = "", codes, more] = text.trim().split("=");
  const zone = parseDomain(name);
  if (zone === null || !zone.includes(".") || more !== undefined) return undefined;
  if (codes === undefined) return { zone };
  const answers = codes.split(",").map((code) => code.trim());
  return answers.every(isListed) ? { zone, answers: new Set(answers) } : undefined;
}

/**
 * The first of the lists that has the address. Never rejects, and takes 5 s and one more answer at
 * most.
 */
export async function askBlockLists(
  address: string,
  lists: readonly BlockList[],
  ports: BlockListPorts,
): Promise<Listing | undefined> {
  const octets = parseIp(address);
  if (octets === undefined) return undefined;
  const prefix = reversed(octets);
  const outcomes = await Promise.all(lists.map((list) => ask(prefix, list, ports)));
  const at = outcomes.indexOf("listed");
  const list = lists[at];
  if (list === undefined) return undefined;
  return { zone: list.zone, reason: await reasonOf(`${prefix}.${list.zone}`, ports) };
}

async function ask(prefix: string, list: BlockList, ports: BlockListPorts): Promise<ListOutcome> {
  const answer = await within(ports.resolver.query(`${prefix}.${list.zone}`, "A"), ports.clock);
  const outcome = outcomeOf(answer, list);
  ports.asked(list.zone, outcome);
  return outcome;
}

type Answer = Awaited<ReturnType<Resolver["query"]>>;

function outcomeOf(answer: Answer | undefined, { answers }: BlockList): ListOutcome {
  if (answer === undefined || answer.kind === "failed") return "failed";
  if (answer.kind === "none") return "clear";
  const codes = answer.records.flatMap((record) => ("address" in record ? [record.address] : []));
  const listed = codes.filter(isListed);
  if (listed.some((code) => answers?.has(code) ?? true)) return "listed";
  if (codes.some((code) => code.startsWith("127.255.255."))) return "misused";
  // A list that died and whose name now leads to a web server must not stop all mail.
  return listed.length > 0 ? "clear" : "failed";
}

/** RFC 5782 §2.1, §5: 127.0.0.1 is never a listing; operators say no with 127.255.255.x. */
function isListed(code: string): boolean {
  const octets = parseIp(code);
  if (octets?.length !== 4 || octets[0] !== 127) return false;
  return code !== "127.0.0.1" && !code.startsWith("127.255.255.");
}

async function reasonOf(name: string, { resolver, clock }: BlockListPorts): Promise<string> {
  const answer = await within(resolver.query(name, "TXT"), clock);
  if (answer?.kind !== "found") return "";
  const text = answer.records[0]?.text ?? "";
  return text
    .slice(0, maxReason)
    .replace(/[^\x20-\x7e]/g, " ")
    .trim();
}

function within<Value>(asked: Promise<Value>, clock: Clock): Promise<Value | undefined> {
  return new Promise((resolve) => {
    const timer = clock.after(withinMs, () => resolve(undefined));
    const settle = (value: Value | undefined): void => {
      timer.cancel();
      resolve(value);
    };
    asked.then(settle, () => settle(undefined));
  });
}

/** RFC 5782 §2.1: octets; §2.4: nibbles. */
function reversed(address: Buffer): string {
  if (address.length === 4) return [...address].reverse().join(".");
  return address.toString("hex").split("").reverse().join(".");
}
