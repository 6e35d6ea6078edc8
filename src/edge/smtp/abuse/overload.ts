/** Says no before it is too late: how late the event loop is, and how much is held in memory. */

import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Clock, Timer } from "#base/clock";

export interface Overload extends Disposable {
  /** Where the loop stands: on time, late, or so late that messages are put off too. */
  readonly state: "calm" | "late" | "very-late";
  /** False, and nothing is counted, when there is no room for so many octets. */
  hold(bytes: number): boolean;
  release(bytes: number): void;
}

export interface OverloadPorts {
  readonly clock: Clock;
  readonly loopDelayMs: number;
  readonly heldBytes: number;
  /** Usual lateness of the loop since it was last asked, milliseconds; for tests. */
  readonly lateness?: () => number;
}

const resolutionMs = 20;
const lookEveryMs = 1000;

export function watchOverload(ports: OverloadPorts): Overload {
  return new Watch(ports);
}

class Watch implements Overload {
  state: Overload["state"] = "calm";
  readonly #ports: OverloadPorts;
  readonly #histogram: ReturnType<typeof monitorEventLoopDelay>;
  #timer: Timer;
  #heldBytes = 0;

  constructor(ports: OverloadPorts) {
    this.#ports = ports;
    this.#histogram = monitorEventLoopDelay({ resolution: resolutionMs });
    this.#histogram.enable();
    this.#timer = ports.clock.after(lookEveryMs, this.#look);
  }

  hold(bytes: number): boolean {
    if (this.#heldBytes + bytes > this.#ports.heldBytes) return false;
    this.#heldBytes += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#heldBytes -= bytes;
  }

  [Symbol.dispose](): void {
    this.#timer.cancel();
    this.#histogram.disable();
  }

  readonly #look = (): void => {
    const { clock, loopDelayMs, lateness } = this.#ports;
    this.#timer = clock.after(lookEveryMs, this.#look);
    const lateMs = lateness?.() ?? this.#usualLateness();
    this.state = lateMs > 2 * loopDelayMs ? "very-late" : lateMs > loopDelayMs ? "late" : "calm";
  };

  /** The median: one long turn among many short ones is no overload. */
  #usualLateness(): number {
    const lateMs = this.#histogram.percentile(50) / 1e6 - resolutionMs;
    this.#histogram.reset();
    return lateMs;
  }
}
