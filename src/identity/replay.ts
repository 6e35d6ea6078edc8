/**
 * How often the same DKIM signature comes (RFC 6376 §8.6): somebody who got one good message may send
 * it on to thousands, and each copy passes. Pure.
 */

import { hash } from "node:crypto";
import type { Clock } from "#base/clock";
import type { Path } from "#model/envelope";
import type { DkimVerdict, Verdict } from "#model/verdict";

/** A signature that came again. */
export interface Repeated {
  /** Its domain, in lower case. */
  readonly domain: string;
  /** Messages within the hour that bear it and had a recipient whom it had not reached, with this. */
  readonly messages: number;
}

export interface ReplayCounter {
  /**
   * Counts a message; one that is sent again because it was put off counts once.
   *
   * @returns of its signatures that pass, the one that came most; undefined when there is none
   */
  count(verdicts: readonly Verdict[], recipients: readonly Path[]): Repeated | undefined;
  /** Signatures and pairs of signature and recipient that are held. */
  readonly size: number;
}

/** Ours: signatures that are remembered, and pairs with a recipient; the least recent go first. */
const maxHeld = 50_000;
const windowMs = 3_600_000;

interface Seen {
  readonly sinceMs: number;
  readonly messages: number;
}

export function replayCounter(clock: Pick<Clock, "tickMs">): ReplayCounter {
  const signatures = recent<Seen>();
  /** With the beginning of the signature's hour. */
  const reached = recent<number>();

  const seenOf = (signature: string): Seen => {
    const nowMs = clock.tickMs();
    const seen = signatures.get(signature);
    if (seen !== undefined && nowMs - seen.sinceMs < windowMs) return seen;
    return { sinceMs: nowMs, messages: 0 };
  };
  const countOne = (signature: string, recipients: readonly Path[]): number => {
    const { sinceMs, messages } = seenOf(signature);
    let isNew = false;
    for (const path of recipients) {
      const pair = keyOf(signature, path.toLowerCase());
      isNew ||= reached.get(pair) !== sinceMs;
      reached.set(pair, sinceMs);
    }
    const next = { sinceMs, messages: messages + (isNew ? 1 : 0) };
    signatures.set(signature, next);
    return next.messages;
  };
  return {
    count(verdicts, recipients) {
      let most: Repeated | undefined;
      for (const [signature, { domain }] of passing(verdicts)) {
        const messages = countOne(signature, recipients);
        if (messages > (most?.messages ?? 0)) most = { domain, messages };
      }
      return most;
    },
    get size() {
      return signatures.size + reached.size;
    },
  };
}

/**
 * Each once. Of one that fails anybody can make any number, and so make the true one suspicious. The
 * first 48 bits of b= tell two signatures of one key apart.
 */
function passing(verdicts: readonly Verdict[]): ReadonlyMap<string, DkimVerdict> {
  const found = new Map<string, DkimVerdict>();
  for (const verdict of verdicts) {
    if (verdict.method !== "dkim" || verdict.result !== "pass") continue;
    found.set(keyOf(verdict.domain, verdict.selector, verdict.mark), verdict);
  }
  return found;
}

/** As long for any text: paths and selectors are a stranger's. */
function keyOf(...parts: readonly string[]): string {
  return hash("sha256", parts.join("\0"), "base64url").slice(0, 16);
}

interface Recent<Value> {
  get(key: string): Value | undefined;
  set(key: string, value: Value): void;
  readonly size: number;
}

/** Two halves, of which the older one goes as a whole: no search for the oldest entry. */
function recent<Value>(): Recent<Value> {
  let young = new Map<string, Value>();
  let old = new Map<string, Value>();
  return {
    get: (key) => young.get(key) ?? old.get(key),
    set(key, value) {
      young.set(key, value);
      if (young.size < maxHeld / 2) return;
      old = young;
      young = new Map();
    },
    get size() {
      return young.size + old.size;
    },
  };
}
