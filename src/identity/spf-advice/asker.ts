/** A resolver that can be asked only so often: what strangers publish must not keep us busy. */

import type { DnsAnswer, RecordType, Resolver } from "#base/dns";

/** Ours. An honest tree needs some dozens; a server that is silent costs seconds each time. */
const maxQuestions = 300;
const maxFailures = 4;

/** Undefined: not asked any more. */
export type Asked<Type extends RecordType> = DnsAnswer<Type> | undefined;

export class Asker {
  readonly #resolver: Resolver;
  readonly #known = new Map<string, Promise<DnsAnswer>>();
  #failures = 0;

  constructor(resolver: Resolver) {
    this.#resolver = resolver;
  }

  async ask<Type extends RecordType>(name: string, type: Type): Promise<Asked<Type>> {
    const key = `${type} ${name}`;
    let asked = this.#known.get(key);
    if (asked === undefined) {
      if (this.#known.size >= maxQuestions || this.#failures >= maxFailures) return undefined;
      asked = this.#resolver.query(name, type);
      this.#known.set(key, asked);
      if ((await asked).kind === "failed") this.#failures += 1;
    }
    return (await asked) as DnsAnswer<Type>;
  }
}
