/** Keeps what an edge goes by as new as what the inside knows: signed, numbered, one push at a time. */

import { createPrivateKey, sign } from "node:crypto";
import type { Clock, Timer } from "#base/clock";
import type { Link } from "#contracts/link";
import type { HubEvents } from "./events.ts";
import type { EdgePeer } from "./settings.ts";

export interface PolicyPusher {
  /** Resolves when the edge has what is now, or when there is no link to tell it by. */
  push(): Promise<void>;
}

/** The snapshot's own text is signed, so both sides mean the same octets. */
export interface SignedSnapshot {
  readonly snapshot: string;
  /** Base64 of Ed25519 over the text. */
  readonly signature: string;
}

/** @param policyKeyPem Ed25519 private key of the inside; the edges hold its public half */
export function signSnapshot(snapshot: string, policyKeyPem: string): SignedSnapshot {
  const signature = sign(null, Buffer.from(snapshot), createPrivateKey(policyKeyPem));
  return { snapshot, signature: signature.toString("base64") };
}

export interface PushPorts {
  readonly clock: Clock;
  readonly events: Pick<HubEvents, "policyPushed">;
  readonly edge: EdgePeer["name"];
  readonly policyKeyPem: string;
  readonly linkNow: () => Link | undefined;
  /** The text of that version. */
  readonly textOf: (version: number) => string;
}

const retryMs = 5000;
const answerWithinMs = 30_000;

export function signedPusher(ports: PushPorts): PolicyPusher {
  const { clock, events, edge, policyKeyPem, linkNow, textOf } = ports;
  let version = 0;
  let running: Promise<void> | undefined;
  let again = false;
  let retry: Timer | undefined;

  /** @returns the version that the edge then holds; -1 when the push failed */
  const once = async (link: Link): Promise<number> => {
    version = Math.max(version + 1, clock.nowMs());
    const signed = signSnapshot(textOf(version), policyKeyPem);
    const held = await pushSnapshot(link, signed, clock).catch(() => -1);
    events.policyPushed(edge, held);
    return held;
  };
  const run = async (): Promise<void> => {
    await Promise.resolve(); // so that it ends after `running` is set, even without a link
    do {
      again = false;
      // Without a link there is nobody to tell; the next link gets the newest policy anyway.
      const link = linkNow();
      if (link === undefined) break;
      let held = await once(link);
      if (held > version && Number.isSafeInteger(held)) {
        // Our clock went back: the edge holds a later version and is right to refuse an older one.
        version = held;
        held = await once(link);
      }
      retry?.cancel(); // one is enough, however often it was asked for meanwhile
      if (held !== version) retry = clock.after(retryMs, () => void push());
    } while (again);
    running = undefined;
  };
  /** One push at a time; a change in between leads to one more, not to many. */
  const push = (): Promise<void> => {
    if (running !== undefined) again = true;
    running ??= run();
    return running;
  };
  return { push };
}

/** Resolves with the version that the edge now holds. @throws Unavailable when it does not say in time */
export async function pushSnapshot(
  link: Link,
  signed: SignedSnapshot,
  clock: Clock,
): Promise<number> {
  const stream = link.open("policy", {}, {});
  const late = clock.after(answerWithinMs, () => stream.abort("no answer in time"));
  // A snapshot may be larger than a header: it travels as data, held back by the edge's window.
  stream.receive({ data() {}, end() {}, broken() {} });
  const octets = Buffer.from(JSON.stringify(signed));
  for (let at = 0; at < octets.length; at += 65_536) {
    if (!stream.send(octets.subarray(at, at + 65_536))) await stream.drained();
  }
  stream.end();
  const answer = (await stream.answered.finally(() => late.cancel())) as {
    version?: unknown;
  } | null;
  return typeof answer?.version === "number" ? answer.version : -1;
}
