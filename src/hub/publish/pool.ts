/** The connections to one application: kept while they are used, bounded, each request in its turn. */

import type { Clock, Timer } from "#base/clock";
import { type Asker, Connection, type ConnectionPort, type Why } from "./connection.ts";
import type { Dial } from "./dial.ts";

/** A request that waits for a connection, or has one. */
export interface Request extends Asker {
  readonly isOver: boolean;
  /** Who shares connections with nobody else's requests: an account, or a client network. */
  readonly owner: string;
  /** Since when it waits for the pool. */
  readonly sinceMs: number;
  /** Called once for each connection that it is given. */
  begin(connection: Connection): void;
}

export interface PoolLimits {
  readonly maxConnections: number;
  readonly connectTimeoutMs: number;
  readonly answerTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

/** No time-out is finer. */
const sweepEveryMs = 1000;
/** More would wait in vain. */
const waitingMaxCount = 1024;
/** Of them of one owner: more than a page asks for at once. */
const waitingOfOneMaxCount = 128;

export class Pool implements ConnectionPort {
  readonly #dial: Dial;
  readonly #limits: PoolLimits;
  readonly #clock: Clock;
  readonly #all = new Set<Connection>();
  /** The one used last at the end: it is the least likely to be stale. */
  readonly #idle: Connection[] = [];
  /** Whose request each is busy with, and how many each owner keeps busy. */
  readonly #owners = new Map<Connection, string>();
  readonly #busy = new Map<string, number>();
  #dialling = 0;
  #waiting: Request[] = [];
  #timer: Timer | undefined;

  constructor(dial: Dial, limits: PoolLimits, clock: Clock) {
    this.#dial = dial;
    this.#limits = limits;
    this.#clock = clock;
  }

  nowMs(): number {
    return this.#clock.tickMs();
  }

  /** @param fresh not one that has been used: such a one failed already */
  ask(request: Request, fresh = false): void {
    this.#timer ??= this.#clock.after(sweepEveryMs, () => this.#sweep());
    const connection = fresh || !this.#hasShare(request) ? undefined : this.#takeIdle();
    if (connection !== undefined) return this.#begin(connection, request);
    const own = this.#waiting.filter(({ owner }) => owner === request.owner).length;
    if (this.#waiting.length >= waitingMaxCount || own >= waitingOfOneMaxCount) {
      return request.failed("too-busy", "too many requests wait", false);
    }
    this.#waiting.push(request);
    this.#dialForWaiting(fresh);
  }

  /** Half of the connections at most: one visitor with answers that do not end leaves others theirs. */
  #hasShare({ owner }: Request): boolean {
    return (this.#busy.get(owner) ?? 0) < Math.ceil(this.#limits.maxConnections / 2);
  }

  #begin(connection: Connection, request: Request): void {
    this.#owners.set(connection, request.owner);
    this.#busy.set(request.owner, (this.#busy.get(request.owner) ?? 0) + 1);
    connection.begin(request);
    request.begin(connection);
  }

  #release(connection: Connection): void {
    const owner = this.#owners.get(connection);
    if (owner === undefined) return;
    this.#owners.delete(connection);
    const left = (this.#busy.get(owner) ?? 1) - 1;
    if (left > 0) this.#busy.set(owner, left);
    else this.#busy.delete(owner);
  }

  #takeIdle(): Connection | undefined {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined || connection.isFree) return connection;
    }
  }

  /** @param makeRoom an idle connection gives way where there is no room for a fresh one */
  #dialForWaiting(makeRoom: boolean): void {
    const ready = this.#waiting.filter((request) => this.#hasShare(request)).length;
    if (this.#dialling >= ready) return;
    if (this.#all.size >= this.#limits.maxConnections) {
      if (!makeRoom) return;
      const oldest = this.#idle.shift();
      if (oldest === undefined) return;
      this.#drop(oldest);
    }
    this.#dialling += 1;
    this.#all.add(new Connection(this.#dial(), this));
  }

  #drop(connection: Connection): void {
    this.#all.delete(connection);
    connection.destroy();
  }

  // ConnectionPort.

  opened(): void {
    this.#dialling -= 1;
  }

  ready(connection: Connection): void {
    this.#release(connection);
    this.#waiting = this.#waiting.filter(({ isOver }) => !isOver);
    const next = this.#waiting.findIndex((request) => this.#hasShare(request));
    const request = this.#waiting.splice(next, next < 0 ? 0 : 1)[0];
    if (request !== undefined) this.#begin(connection, request);
    else this.#idle.push(connection);
  }

  gone(connection: Connection): void {
    this.#release(connection);
    const wasOurs = this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    if (wasOurs) this.#dialForWaiting(false);
  }

  /** Fails one request for each connection that did not come about: none waits for ever. */
  unreached(connection: Connection, why: Why, detail: string): void {
    this.#dialling -= 1;
    this.#all.delete(connection);
    for (;;) {
      const request = this.#waiting.shift();
      if (request === undefined) return;
      if (request.isOver) continue;
      request.failed(why, detail, false);
      break;
    }
    this.#dialForWaiting(false);
  }

  #sweep(): void {
    const nowMs = this.nowMs();
    const { connectTimeoutMs, answerTimeoutMs, idleTimeoutMs } = this.#limits;
    for (const connection of this.#all) {
      const ageMs = nowMs - connection.sinceMs;
      if (connection.phase === "idle") {
        if (ageMs >= Math.min(idleTimeoutMs, connection.keepsForMs)) connection.destroy();
      } else if (connection.phase === "dialling") {
        if (ageMs >= connectTimeoutMs) connection.destroy();
      } else if (connection.isLate(ageMs, answerTimeoutMs)) {
        connection.fail("too-late", `no answer in ${Math.round(ageMs)} ms`);
      } else connection.look();
    }
    const late = this.#waiting.filter(({ isOver, sinceMs }) => {
      return !isOver && nowMs - sinceMs >= answerTimeoutMs;
    });
    this.#waiting = this.#waiting.filter((request) => !request.isOver && !late.includes(request));
    for (const request of late) request.failed("too-busy", "no connection came free", false);
    this.#timer =
      this.#all.size + this.#waiting.length > 0
        ? this.#clock.after(sweepEveryMs, () => this.#sweep())
        : undefined;
  }

  /** Ends whatever is under way. */
  close(): void {
    this.#timer?.cancel();
    for (const request of this.#waiting.splice(0))
      request.failed("cut-off", "the hub stops", false);
    for (const connection of this.#all) connection.fail("cut-off", "the hub stops");
  }
}
