/** One request, one answer. What comes from the hub is checked like anything from outside. */

import { Buffer } from "node:buffer";
import type { Clock } from "#base/clock";
import { Denied } from "#base/errors";
import { type Frame, faultOf, formatFrame } from "#contracts/keyring";
import type { Custody } from "./dkim-custody.ts";
import type { KeyringEvents } from "./events.ts";
import type { CurrentLog } from "./log/current-log.ts";
import type { Masters } from "./master/masters.ts";

export interface AnswerPorts {
  readonly clock: Clock;
  readonly custody: Custody;
  readonly masters: Masters;
  readonly log: CurrentLog;
  readonly events: KeyringEvents;
}

interface Answer {
  readonly head?: object;
  readonly body?: Buffer;
}

/** Undefined, as every error, makes a refusal. */
type Handler = (frame: Frame, ports: AnswerPorts) => Promise<Answer | undefined>;

/** Never rejects. */
export async function answerTo(frame: Frame, ports: AnswerPorts): Promise<Buffer> {
  const id = typeof frame.head["id"] === "number" ? frame.head["id"] : 0;
  const what = String(frame.head["do"]);
  try {
    const answer = await handlers.get(what)?.(frame, ports);
    if (answer === undefined) return formatFrame({ id, fault: "denied" });
    const octets = formatFrame({ id, ...answer.head }, answer.body);
    if (hasKey.includes(what)) answer.body?.fill(0);
    return octets;
  } catch (error) {
    const fault = faultOf(error);
    if (error instanceof Denied) ports.events.requestDenied(what, error.message);
    else ports.events.requestFailed(what, error);
    return formatFrame({ id, ...fault });
  } finally {
    if (hasKey.includes(what)) frame.body.fill(0);
  }
}

/** A key in clear passes in their bodies. */
const hasKey: readonly string[] = ["wrapKey", "unwrapKey"];

const handlers: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  [
    "dkimKeys",
    async ({ head }, { custody }) => {
      const domain = textIn(head, "domain");
      return domain === undefined ? undefined : { head: { keys: custody.keys(domain) } };
    },
  ],
  [
    "allDkimKeys",
    async ({ head }, { custody }) => {
      const domain = textIn(head, "domain");
      return domain === undefined ? undefined : { head: { keys: custody.list(domain) } };
    },
  ],
  ["makeDkimKeys", (frame, ports) => newKeys(frame, ports, "make")],
  ["addDkimKeys", (frame, ports) => newKeys(frame, ports, "add")],
  ["activateDkimKeys", activateKeys],
  ["retireDkimKeys", retireKeys],
  [
    "dkimSign",
    async ({ head, body }, { custody }) => {
      const [domain, selector] = [textIn(head, "domain"), textIn(head, "selector")];
      if (domain === undefined || selector === undefined) return undefined;
      const signature = await custody.sign(domain, selector, body);
      return signature === undefined ? undefined : { body: signature };
    },
  ],
  [
    "wrapKey",
    async ({ head, body }, { masters }) => {
      const purpose = textIn(head, "purpose");
      if (purpose === undefined) return undefined;
      const { master, wrapped } = await masters.wrapKey(body, purpose);
      return { head: { master }, body: wrapped };
    },
  ],
  [
    "unwrapKey",
    async ({ head, body }, { masters }) => {
      const [master, purpose] = [textIn(head, "master"), textIn(head, "purpose")];
      if (master === undefined || purpose === undefined) return undefined;
      return { body: await masters.unwrapKey({ master, wrapped: body }, purpose) };
    },
  ],
  ["masterIds", async (_frame, { masters }) => ({ head: masters.ids() })],
  [
    "rotateMaster",
    async ({ head }, { masters, events }) => {
      const from = textIn(head, "master");
      if (from === undefined) return undefined;
      const master = await masters.rotate(from);
      if (master !== from) events.masterMade(master, masters.source);
      return { head: { master } };
    },
  ],
  [
    "retireMaster",
    async ({ head }, { masters, events }) => {
      const master = textIn(head, "master");
      if (master === undefined) return undefined;
      const isHeld = masters.ids().held.includes(master);
      await masters.retire(master);
      if (isHeld) events.masterRetired(master);
      return {};
    },
  ],
  [
    "logKeys",
    async (_frame, { log: { keys } }) => {
      const [ed25519, mlDsa65] = [keys.ed25519, keys.mlDsa65].map((key) => key.toString("base64"));
      return { head: { name: keys.name, ed25519, mlDsa65 } };
    },
  ],
  [
    "signHead",
    async ({ body }, { log }) => {
      const { ed25519, mlDsa65 } = await log.sign(body);
      return { body: Buffer.concat([ed25519, mlDsa65]) };
    },
  ],
  [
    "renewLog",
    async ({ head }, { log, events }) => {
      const old = textIn(head, "log");
      if (old === undefined) return undefined;
      const isCurrent = log.keys.name === old;
      await log.renew(old);
      if (isCurrent) events.logRenewed(old, log.keys.name);
      return {};
    },
  ],
]);

async function newKeys(
  { head }: Frame,
  { custody, clock, events }: AnswerPorts,
  act: "make" | "add",
): Promise<Answer | undefined> {
  const domain = textIn(head, "domain");
  if (domain === undefined) return undefined;
  const had = new Set(custody.list(domain).map((key) => key.selector));
  const keys = await custody[act](domain, clock.nowMs());
  if (keys === undefined) return undefined;
  for (const key of keys) if (!had.has(key.selector)) events.keyMade(key.domain, key.selector);
  return { head: { keys } };
}

async function activateKeys(
  { head }: Frame,
  { custody, clock, events }: AnswerPorts,
): Promise<Answer | undefined> {
  const [domain, selectors] = [textIn(head, "domain"), textsIn(head, "selectors")];
  if (domain === undefined || selectors === undefined) return undefined;
  await custody.activate(domain, selectors, clock.nowMs());
  events.keysChanged(domain, selectors, "active");
  return {};
}

async function retireKeys(
  { head }: Frame,
  { custody, clock, events }: AnswerPorts,
): Promise<Answer | undefined> {
  const [domain, selectors] = [textIn(head, "domain"), textsIn(head, "selectors")];
  if (domain === undefined || selectors === undefined) return undefined;
  const how = { nowMs: clock.nowMs(), isForced: head["isForced"] === true };
  await custody.retire(domain, selectors, how);
  events.keysChanged(domain, selectors, "retired");
  return {};
}

const maxTexts = 100;

function textsIn(head: Frame["head"], name: string): readonly string[] | undefined {
  const texts = head[name];
  if (!Array.isArray(texts) || texts.length === 0 || texts.length > maxTexts) return undefined;
  return texts.every((text) => typeof text === "string") ? texts : undefined;
}

function textIn(head: Frame["head"], name: string): string | undefined {
  const text = head[name];
  return typeof text === "string" ? text : undefined;
}
