/** Time as an argument: whoever waits or dates something is given a clock. */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall clock, milliseconds since 1970 UTC. May jump. */
  nowMs(): number;
  /** Monotonic milliseconds with fractions, for durations. */
  tickMs(): number;
  /** Runs once after the delay; does not keep the process alive by itself. */
  after(delayMs: number, run: () => void): Timer;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  tickMs: () => performance.now(),
  after(delayMs, run) {
    // A longer delay would overflow and fire at once (Node's timers hold 31 bits).
    const timer = setTimeout(run, Math.min(delayMs, 0x7fffffff)).unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/** Resolves after the delay. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => void clock.after(delayMs, resolve));
}
