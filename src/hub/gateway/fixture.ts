/** A gateway of example.org with what a test wishes, for the tests of this room. */

import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { gatewayEvents } from "./events.ts";
import { completeGateway, type Gateway, gatewayParameters } from "./settings.ts";

export function gatewayWith(wishes: Partial<Record<keyof Gateway, unknown>>): Gateway {
  const given = { ...defaultsOf(gatewayParameters), domains: ["example.org"], ...wishes };
  return completeGateway("test", given as Parameters<typeof completeGateway>[1]);
}

/** Events that are told to a list. */
export function toldEvents(): { told: string[]; events: ReturnType<typeof gatewayEvents> } {
  const told: string[] = [];
  const log = {
    ...silentLog,
    write: (_level: string, event: string, facts: object = {}): void => {
      told.push(`${event} ${JSON.stringify(facts)}`);
    },
  };
  return { told, events: gatewayEvents(log, new Registry()) };
}
