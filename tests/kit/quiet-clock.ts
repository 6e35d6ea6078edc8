/** Time that passes only when nothing else happens: days go by while a real store does its real work. */

import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import type { Clock } from "#base/clock";

export interface QuietClock extends Clock {
  /** Something happened just now. */
  stir(): void;
  /** The same functions, each call of which counts as under way until it is done. */
  watched<Ports extends object>(ports: Ports): Ports;
  /** Lets time go by until the moment, or until it is told to stop. */
  until(atMs: number, isOver?: () => boolean): Promise<void>;
}

/** Turns of the event loop without anything: streams in memory need two for a hop. */
const quietTurns = 10;

export function quietClock(startMs: number): QuietClock {
  let nowMs = startMs;
  let pending = 0;
  let stirs = 0;
  let last = 0;
  /** By moment, then in the order in which they were asked for. */
  const timers: { atMs: number; order: number; run: () => void }[] = [];

  const add = (timer: (typeof timers)[number]): void => {
    const at = timers.findIndex(
      (one) => one.atMs > timer.atMs || (one.atMs === timer.atMs && one.order > timer.order),
    );
    timers.splice(at < 0 ? timers.length : at, 0, timer);
  };
  const quiet = async (): Promise<void> => {
    for (let still = 0; still < quietTurns; ) {
      const before = stirs;
      // The disk has its own time; turns alone would take it from the processor.
      await (pending > 0 ? pause(1) : turn());
      still = pending === 0 && stirs === before ? still + 1 : 0;
    }
  };
  const clock: QuietClock = {
    nowMs: () => nowMs,
    tickMs: () => nowMs - startMs,
    after(delayMs, run) {
      last += 1;
      const timer = { atMs: nowMs + Math.max(0, delayMs), order: last, run };
      add(timer);
      return {
        cancel() {
          const at = timers.indexOf(timer);
          if (at >= 0) timers.splice(at, 1);
        },
      };
    },
    stir: () => void (stirs += 1),
    watched: (ports) =>
      new Proxy(ports, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name, target);
          if (typeof value !== "function") return value;
          return (...args: unknown[]): unknown => {
            stirs += 1;
            const result: unknown = Reflect.apply(value, target, args);
            if (!(result instanceof Promise)) return result;
            pending += 1;
            return result.finally(() => {
              pending -= 1;
              stirs += 1;
            });
          };
        },
      }),
    async until(atMs, isOver = () => false) {
      for (;;) {
        await quiet();
        const next = timers[0];
        if (isOver() || next === undefined || next.atMs > atMs) break;
        timers.shift();
        nowMs = Math.max(nowMs, next.atMs);
        next.run();
      }
      if (!isOver()) nowMs = Math.max(nowMs, atMs);
    },
  };
  return clock;
}
