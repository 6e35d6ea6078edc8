/** Which of a connector's hosts answer: what fails is left alone for a while, then tried with one message. */

import type { ConnectorHost } from "#model/connector";
import type { QueueParameters } from "./parameters.ts";

const longestProbeMs = 600_000;

export interface HostPlan {
  /** In order of preference; some that failed come last, or first where one is probed. */
  readonly hosts: readonly ConnectorHost[];
  /** Only one message may find out. */
  readonly isProbe: boolean;
}

interface State {
  readonly host: ConnectorHost;
  failures: number;
  downUntilMs: number;
  isProbed: boolean;
}

export class HostHealth {
  readonly #states: readonly State[];
  readonly #parameters: Pick<QueueParameters, "probeS" | "directAfter">;
  /** Attempts in a row at which none answered. */
  #lost = 0;

  constructor(
    hosts: readonly ConnectorHost[],
    parameters: Pick<QueueParameters, "probeS" | "directAfter">,
  ) {
    this.#states = hosts.map((host) => ({ host, failures: 0, downUntilMs: 0, isProbed: false }));
    this.#parameters = parameters;
  }

  get isUp(): boolean {
    return this.#states.some(({ failures }) => failures === 0);
  }

  /** None has answered for so long that another way may be taken, where there is one. */
  get isLost(): boolean {
    return !this.isUp && this.#lost >= this.#parameters.directAfter;
  }

  /** When a host may be tried again, while all are down. */
  get nextProbeAtMs(): number {
    const free = this.#states.filter(({ isProbed }) => !isProbed);
    return Math.min(...free.map(({ downUntilMs }) => downUntilMs), Number.POSITIVE_INFINITY);
  }

  /** @returns undefined while all are down and it is too early to look again */
  plan(nowMs: number): HostPlan | undefined {
    const up = this.#states.filter(({ failures }) => failures === 0);
    const due = this.#states.find(
      ({ failures, downUntilMs, isProbed }) => failures > 0 && downUntilMs <= nowMs && !isProbed,
    );
    const isBetter = due !== undefined && (up[0] === undefined || this.#isBefore(due, up[0]));
    if (due !== undefined && isBetter) {
      due.isProbed = true;
      return { hosts: [due, ...up].map(({ host }) => host), isProbe: true };
    }
    if (up.length === 0) return undefined;
    return { hosts: up.map(({ host }) => host), isProbe: false };
  }

  /** What failed may be tried again. */
  lookNow(nowMs: number): void {
    for (const state of this.#states) state.downUntilMs = Math.min(state.downUntilMs, nowMs);
  }

  answered(host: string, port: number): void {
    const state = this.#find(host, port);
    if (state === undefined) return;
    Object.assign(state, { failures: 0, downUntilMs: 0, isProbed: false });
    this.#lost = 0;
  }

  /** Attempts that began before the first failure was known say nothing new. */
  failed(host: string, port: number, nowMs: number): void {
    const state = this.#find(host, port);
    if (state === undefined || (state.failures > 0 && nowMs < state.downUntilMs)) return;
    const waitMs = this.#parameters.probeS * 1000 * 2 ** Math.min(state.failures, 20);
    state.failures += 1;
    state.downUntilMs = nowMs + Math.min(waitMs, longestProbeMs);
    state.isProbed = false;
    if (!this.isUp) this.#lost += 1;
  }

  /** A probe ended without a word about its hosts. */
  unprobe(hosts: readonly ConnectorHost[]): void {
    for (const { host, port } of hosts) {
      const state = this.#find(host, port);
      if (state !== undefined) state.isProbed = false;
    }
  }

  /** What an administrator is told. */
  describe(nowMs: number): readonly string[] {
    return this.#states
      .filter(({ failures }) => failures > 0)
      .map(({ host, failures, downUntilMs }) => {
        const seconds = Math.max(0, Math.ceil((downUntilMs - nowMs) / 1000));
        return `${host.host}:${host.port} did not answer ${failures} times; next look in ${seconds} s`;
      });
  }

  #find(host: string, port: number): State | undefined {
    return this.#states.find((one) => one.host.host === host && one.host.port === port);
  }

  #isBefore(one: State, other: State): boolean {
    return this.#states.indexOf(one) < this.#states.indexOf(other);
  }
}
