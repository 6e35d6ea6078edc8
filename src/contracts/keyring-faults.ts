/** How the keyring's refusals travel: a word for their kind, and a sentence for the administrator. */

import { Denied, Misconfigured, Unavailable } from "#base/errors";
import { UnknownMaster, WrapDamaged } from "./keyring-port.ts";

/** Members of a frame's head. */
export interface Fault {
  readonly fault: "denied" | "unavailable" | "misconfigured" | "unknown-master" | "damaged";
  readonly why?: string;
  readonly master?: string;
}

const maxWhy = 1000;
const maxId = 128;

/** Words of ours travel, those of a bug do not: they may hold anything. */
export function faultOf(error: unknown): Fault {
  const why = error instanceof Error ? error.message.slice(0, maxWhy) : "";
  if (error instanceof UnknownMaster) return { fault: "unknown-master", why, master: error.master };
  if (error instanceof WrapDamaged) return { fault: "damaged", why };
  if (error instanceof Misconfigured) return { fault: "misconfigured", why };
  if (error instanceof Denied) return { fault: "denied", why };
  if (error instanceof Unavailable) return { fault: "unavailable", why };
  return { fault: "unavailable" };
}

/** The error that the keyring met, or undefined when the frame is an answer. */
export function errorOf(head: Readonly<Record<string, unknown>>): Error | undefined {
  const { fault } = head;
  const master = String(head["master"]).slice(0, maxId);
  const why = typeof head["why"] === "string" ? head["why"].slice(0, maxWhy) : undefined;
  switch (fault) {
    case undefined:
      return undefined;
    case "denied":
      return new Denied(why ?? "the keyring has no such key");
    case "unknown-master":
      return new UnknownMaster(master, why ?? `the keyring has no master key ${master}`);
    case "damaged":
      return new WrapDamaged(why ?? "the wrapped key is damaged");
    case "misconfigured":
      return new Misconfigured(why ?? "the keyring is set up wrongly");
    default:
      return new Unavailable(why ?? "the keyring cannot do it now");
  }
}
