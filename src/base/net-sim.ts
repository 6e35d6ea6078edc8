/** A network in memory whose connections are cut, stalled, refused and delayed by a seed. */

import { type Duplex, duplexPair, Transform, type TransformCallback } from "node:stream";
import { type Clock, sleep, systemClock } from "#base/clock";
import { Unavailable } from "#base/errors";
import type { Endpoint, Listener, Net } from "#base/net";
import { pick, type Random } from "#base/random";

/** How likely each fault is, from 0 to 1; all 0 is a network that works. */
export interface NetFaults {
  /** A dial finds nobody. */
  readonly refuse?: number;
  /** A connection dies, in both directions, after a random number of octets up to `cutWithinBytes`. */
  readonly cut?: number;
  readonly cutWithinBytes?: number;
  /** A connection goes silent after that many octets: nothing arrives, nothing closes. */
  readonly stall?: number;
  /** Every piece is late by up to this. */
  readonly delayMs?: number;
}

export interface SimulatedNet extends Net {
  /** From now on; connections made before keep their fate. */
  faults(faults: NetFaults): void;
  /** Cuts every connection that is open. */
  cutAll(): void;
  readonly stats: { dialled: number; refused: number; cut: number; stalled: number };
}

/** The same seed gives the same faults for the same sequence of dials and octets. */
export function simulatedNet(random: Random, clock: Clock = systemClock): SimulatedNet {
  let current: NetFaults = {};
  let lastPort = 40_000;
  const listeners = new Map<string, (stream: Duplex, from: Endpoint) => void>();
  const open = new Set<() => void>();
  const stats = { dialled: 0, refused: 0, cut: 0, stalled: 0 };
  const nameOf = (at: Endpoint): string => `${at.host} ${at.port}`;

  return {
    stats,
    faults: (faults) => void (current = faults),
    cutAll: () => open.forEach((cut) => cut()),
    async dial(to) {
      await sleep(clock, 0);
      stats.dialled += 1;
      const accept = listeners.get(nameOf(to));
      if (accept === undefined || random.fraction() < (current.refuse ?? 0)) {
        stats.refused += 1;
        throw new Unavailable(`no connection to ${nameOf(to)}`);
      }
      const [near, far] = connection({ faults: current, random, clock, stats, open });
      lastPort += 1;
      accept(far, { host: "192.0.2.1", port: lastPort });
      return near;
    },
    listen(at, onConnection): Promise<Listener> {
      if (at.port === 0) lastPort += 1;
      const endpoint = { host: at.host, port: at.port === 0 ? lastPort : at.port };
      listeners.set(nameOf(endpoint), onConnection);
      return Promise.resolve({
        endpoint,
        async [Symbol.asyncDispose]() {
          listeners.delete(nameOf(endpoint));
        },
      });
    },
  };
}

interface Wiring {
  readonly faults: NetFaults;
  readonly random: Random;
  readonly clock: Clock;
  readonly stats: SimulatedNet["stats"];
  /** Ways to cut what is open. */
  readonly open: Set<() => void>;
}

/** Two ends with wires between them that share one fate. */
function connection({ faults, random, clock, stats, open }: Wiring): readonly [Duplex, Duplex] {
  const within = faults.cutWithinBytes ?? 100_000;
  const cutAt = random.fraction() < (faults.cut ?? 0) ? pick(random, within) : Infinity;
  const stallAt = random.fraction() < (faults.stall ?? 0) ? pick(random, within) : Infinity;
  const delayMs = faults.delayMs ?? 0;
  const ends: Duplex[] = [];
  const cut = (): void => {
    if (!open.delete(cut)) return;
    for (const end of ends) end.destroy();
  };
  open.add(cut);

  let carried = 0;
  const wire = (): Transform =>
    new Transform({
      transform(chunk: Buffer, _encoding, done: TransformCallback) {
        const before = carried;
        carried += chunk.length;
        if (carried > stallAt) {
          if (before <= stallAt) stats.stalled += 1;
          return; // never done: the direction stands still for good
        }
        if (carried > cutAt) {
          this.push(chunk.subarray(0, cutAt - before));
          stats.cut += 1;
          // What had left before still arrives, as with a real connection.
          setImmediate(() => setImmediate(cut));
          return;
        }
        if (delayMs > 0) clock.after(pick(random, delayMs), () => done(null, chunk));
        else done(null, chunk);
      },
    });

  const [near, nearWire] = duplexPair();
  const [far, farWire] = duplexPair();
  nearWire.pipe(wire()).pipe(farWire);
  farWire.pipe(wire()).pipe(nearWire);
  ends.push(near, far, nearWire, farWire);
  for (const end of ends) {
    end.on("error", () => {});
    end.once("close", cut);
  }
  return [near, far];
}
