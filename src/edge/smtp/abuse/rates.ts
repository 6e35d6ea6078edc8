/** How much each client did lately: leaking buckets in a table that never grows beyond its size. */

import type { Clock } from "#base/clock";
import { Recent } from "./recent.ts";

export const rateKinds = ["connections", "messages", "recipients", "unknown"] as const;
export type RateKind = (typeof rateKinds)[number];

export interface Rate {
  /** So many within the period, all at once or spread; 0: any. */
  readonly most: number;
  readonly periodMs: number;
}

interface Client {
  atMs: number;
  /** Of each kind: what did not leak out yet. */
  readonly levels: [number, number, number, number];
}

/** Ours. The client that was quiet for longest is forgotten first. */
const maxClients = 50_000;

export class Rates {
  readonly #clock: Clock;
  readonly #rates: Readonly<Record<RateKind, Rate>>;
  readonly #clients = new Recent<Client>(maxClients);

  constructor(clock: Clock, rates: Readonly<Record<RateKind, Rate>>) {
    this.#clock = clock;
    this.#rates = rates;
  }

  get size(): number {
    return this.#clients.size;
  }

  /**
   * Counts one, unless that would be too many.
   *
   * @param client an address or a network (#base/ip clientNetwork)
   * @returns 0, or the milliseconds after which there is room for one
   */
  take(kind: RateKind, client: string): number {
    const waitMs = this.wait(kind, client);
    if (waitMs === 0 && this.#rates[kind].most > 0) this.#count(kind, client);
    return waitMs;
  }

  /** Without counting. */
  wait(kind: RateKind, client: string): number {
    const { most, periodMs } = this.#rates[kind];
    const known = this.#clients.get(client);
    if (most === 0 || known === undefined) return 0;
    const left = this.#levels(known)[rateKinds.indexOf(kind)] ?? 0;
    return left + 1 <= most ? 0 : Math.ceil(((left + 1 - most) * periodMs) / most);
  }

  #count(kind: RateKind, client: string): void {
    const known = this.#clients.get(client);
    const levels = known === undefined ? ([0, 0, 0, 0] as Client["levels"]) : this.#levels(known);
    const at = rateKinds.indexOf(kind);
    levels[at] = (levels[at] ?? 0) + 1;
    this.#clients.set(client, { atMs: this.#clock.tickMs(), levels });
  }

  #levels({ atMs, levels }: Client): Client["levels"] {
    const passedMs = this.#clock.tickMs() - atMs;
    const leaked = rateKinds.map((kind, at) => {
      const { most, periodMs } = this.#rates[kind];
      return Math.max(0, (levels[at] ?? 0) - (passedMs * most) / periodMs);
    });
    return leaked as Client["levels"];
  }
}
