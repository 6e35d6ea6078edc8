/** Answers whether a recipient of a gateway domain exists: from memory, or by asking, each once. */

import type { Clock } from "#base/clock";
import { Unavailable } from "#base/errors";
import { Gate } from "#base/limits";
import type { Random } from "#base/random";
import { splitPath } from "#formats/address";
import type { GatewayEvents, RecipientAnswer } from "./events.ts";
import { Memory } from "./memory.ts";
import type { Gateway } from "./settings.ts";
import type { RecipientSource } from "./source.ts";
import { within } from "./within.ts";

/** Questions under way and waiting, of one gateway. */
const atOnce = 16;
const waiting = 500;
/** Less than an edge waits. */
const answerMs = 15_000;
const probeEveryMs = 86_400_000;

export interface VerifierPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly events: GatewayEvents;
}

/** One gateway's view of its addresses. Disposing ends its connections. */
export class Verifier implements AsyncDisposable {
  readonly gateway: Gateway;
  readonly #source: RecipientSource;
  readonly #ports: VerifierPorts;
  readonly #memory: Memory;
  readonly #gate = new Gate(atOnce, waiting);
  readonly #underWay = new Map<string, Promise<RecipientAnswer>>();
  readonly #probedAtMs = new Map<string, number>();
  readonly #takesAny = new Set<string>();
  /** Why the last question was not answered; empty when it was, undefined before the first. */
  #trouble: string | undefined;

  constructor(gateway: Gateway, source: RecipientSource, ports: VerifierPorts) {
    this.gateway = gateway;
    this.#source = source;
    this.#ports = ports;
    this.#memory = new Memory(ports.clock, gateway.knownS * 1000, gateway.unknownS * 1000);
  }

  /** Domains whose server was seen to take any address. */
  get takesAny(): readonly string[] {
    return [...this.#takesAny];
  }

  get trouble(): string {
    return this.#trouble || (this.#source.trouble?.() ?? "");
  }

  /** @param address with its domain in lower case */
  ask(address: string): Promise<RecipientAnswer> {
    const { events } = this.#ports;
    const remembered = this.#memory.get(keyOf(address));
    if (remembered !== undefined) {
      const answer = remembered ? "known" : "unknown";
      events.answered(this.gateway.name, answer, true);
      return Promise.resolve(answer);
    }
    return this.askAnew(address);
  }

  /** Whatever is remembered. */
  askAnew(address: string): Promise<RecipientAnswer> {
    const key = keyOf(address);
    const begun = this.#underWay.get(key);
    if (begun !== undefined) return begun;
    const asked = this.#ask(address).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, asked);
    return asked;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#source[Symbol.asyncDispose]();
  }

  async #ask(address: string): Promise<RecipientAnswer> {
    const { name } = this.gateway;
    const answer = await this.#answer(address);
    this.#ports.events.answered(name, answer, false);
    if (answer === "later") return answer;
    this.#memory.put(keyOf(address), answer === "known");
    if (answer === "known" && this.gateway.recipients === "callout") {
      void this.#probe(splitPath(address).domain);
    }
    return answer;
  }

  async #answer(address: string): Promise<RecipientAnswer> {
    const { clock } = this.#ports;
    const endMs = clock.tickMs() + answerMs;
    const asked = this.#gate.run(async () => {
      // Nobody hears the answer to a question that waited for so long.
      const leftMs = endMs - clock.tickMs();
      if (leftMs <= 0) throw new Unavailable("no answer in time");
      return within(clock, leftMs, this.#source.has(address));
    });
    try {
      const has = await within(clock, answerMs, asked);
      if (has === undefined) return "later";
      this.#reached("");
      return has ? "known" : "unknown";
    } catch (error) {
      // The border of the question: what could not be found out is put off, whatever it was.
      this.#reached(printable((error as Error).message));
      return "later";
    }
  }

  #reached(why: string): void {
    const wasFine = (this.#trouble ?? "") === "";
    if (this.#trouble === undefined || wasFine !== (why === "")) {
      this.#ports.events.reachable(this.gateway.name, why === "", why);
    }
    this.#trouble = why;
  }

  /** A name that nobody has, once a day: a server that takes it takes everything. */
  async #probe(domain: string): Promise<void> {
    const { clock, random, events } = this.#ports;
    const probedAtMs = this.#probedAtMs.get(domain);
    if (probedAtMs !== undefined && clock.tickMs() - probedAtMs < probeEveryMs) return;
    this.#probedAtMs.set(domain, clock.tickMs());
    const nobody = `postern-probe-${random.bytes(12).toString("hex")}@${domain}`;
    const answer = await this.#answer(nobody);
    if (answer === "later") {
      this.#probedAtMs.delete(domain);
      return;
    }
    if (answer === "known") this.#takesAny.add(domain);
    else this.#takesAny.delete(domain);
    events.takesAny(this.gateway.name, domain, answer === "known");
  }
}

/** Spellings of one address are one question: no server gives Ana and ana to two people. */
function keyOf(address: string): string {
  return address.toLowerCase();
}

/** A server's words come to an administrator's terminal. */
function printable(words: string): string {
  return words.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, " ");
}
