/** Lanes: what may share a connection, and how many connections each lane has. */

import type { Endpoint } from "#base/net";
import type { QueueItem } from "#model/queue";
import type { Letter } from "./attempt.ts";
import type { QueueParameters } from "./parameters.ts";
import type { Routes } from "./routes.ts";

export interface Job {
  readonly lane: string;
  readonly letters: readonly Letter[];
}

export interface Way {
  readonly fixed: Endpoint | undefined;
  readonly requireTls: boolean;
}

export class Lanes {
  readonly #parameters: QueueParameters;
  readonly #routes: Routes;
  readonly #requireTls: ReadonlySet<string>;
  readonly #open = new Map<string, number>();
  #all = 0;

  constructor(parameters: QueueParameters, routes: Routes) {
    this.#parameters = parameters;
    this.#routes = routes;
    this.#requireTls = new Set(parameters.requireTls.map((domain) => domain.toLowerCase()));
  }

  get isFull(): boolean {
    return this.#all >= this.#parameters.connections;
  }

  enter(lane: string): void {
    this.#open.set(lane, (this.#open.get(lane) ?? 0) + 1);
    this.#all += 1;
  }

  leave(lane: string): void {
    const left = (this.#open.get(lane) ?? 1) - 1;
    if (left > 0) this.#open.set(lane, left);
    else this.#open.delete(lane);
    this.#all -= 1;
  }

  wayTo(domain: string): Way {
    return { fixed: this.#routes.fixed(domain), requireTls: this.#requireTls.has(domain) };
  }

  /** Jobs that fit into the limits now, for items in their order; the rest stays where it is. */
  plan(items: readonly QueueItem[]): readonly Job[] {
    const lanes = Map.groupBy(items, (item) => this.#laneOf(item));
    const jobs: Job[] = [];
    let free = this.#parameters.connections - this.#all;
    for (const [lane, waiting] of lanes) {
      const ours = this.#parameters.connectionsPerDomain - (this.#open.get(lane) ?? 0);
      const slots = Math.min(free, ours);
      if (slots <= 0) continue;
      const letters = lettersOf(waiting, this.#parameters.recipientsPerMessage);
      // Spread over the free connections: one slow server then holds up as little as can be.
      const share = Math.ceil(letters.length / slots);
      const size = Math.min(share, this.#parameters.messagesPerSession);
      for (let at = 0, used = 0; at < letters.length && used < slots; at += size, used += 1) {
        jobs.push({ lane, letters: letters.slice(at, at + size) });
        free -= 1;
      }
    }
    return jobs;
  }

  #laneOf({ recipient }: QueueItem): string {
    const domain = recipient.slice(recipient.lastIndexOf("@") + 1);
    const { fixed, requireTls } = this.wayTo(domain);
    const place = fixed === undefined ? domain : `${fixed.host}:${fixed.port}`;
    return requireTls ? `${place} tls` : place;
  }
}

function lettersOf(items: readonly QueueItem[], maxRecipients: number): Letter[] {
  const letters: Letter[] = [];
  for (const ofMessage of Map.groupBy(items, ({ message }) => message).values()) {
    for (let at = 0; at < ofMessage.length; at += maxRecipients) {
      letters.push(ofMessage.slice(at, at + maxRecipients));
    }
  }
  return letters;
}
