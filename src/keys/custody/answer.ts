/** One request, one answer. What comes from the hub is checked like anything from outside. */

import type { Clock } from "#base/clock";
import { type Frame, formatFrame } from "#contracts/keyring";
import type { KeyringEvents } from "./events.ts";
import type { Custody } from "./key-folder.ts";

interface Ports {
  readonly clock: Clock;
  readonly custody: Custody;
  readonly events: KeyringEvents;
}

/** Never rejects. */
export async function answerTo({ head, body }: Frame, ports: Ports): Promise<Buffer> {
  const id = typeof head["id"] === "number" ? head["id"] : 0;
  const { domain, selector } = head;
  const denied = formatFrame({ id, fault: "denied" });
  if (typeof domain !== "string") return denied;
  try {
    switch (head["do"]) {
      case "dkimKeys":
        return formatFrame({ id, keys: ports.custody.keys(domain) });
      case "makeDkimKeys":
        return await makeKeys(id, domain, ports);
      case "dkimSign": {
        if (typeof selector !== "string") return denied;
        const signature = await ports.custody.sign(domain, selector, body);
        return signature === undefined ? denied : formatFrame({ id }, signature);
      }
      default:
        return denied;
    }
  } catch (error) {
    ports.events.requestFailed(String(head["do"]), error);
    return formatFrame({ id, fault: "unavailable" });
  }
}

async function makeKeys(id: number, domain: string, ports: Ports): Promise<Buffer> {
  const had = new Set(ports.custody.keys(domain).map((key) => key.selector));
  const keys = await ports.custody.make(domain, ports.clock.nowMs());
  if (keys === undefined) return formatFrame({ id, fault: "denied" });
  for (const key of keys) {
    if (!had.has(key.selector)) ports.events.keyMade(key.domain, key.selector);
  }
  return formatFrame({ id, keys });
}
