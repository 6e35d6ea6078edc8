/** What the gateway tells: who has mailboxes inside, and when that cannot be found out. */

import type { Log } from "#base/log";
import type { Registry } from "#base/measures";

export type RecipientAnswer = "known" | "unknown" | "later";

export interface GatewayEvents {
  answered(gateway: string, answer: RecipientAnswer, isFromMemory: boolean): void;
  /** The first failure after a success, and the first success after a failure. */
  reachable(gateway: string, isReachable: boolean, why: string): void;
  /** A server that knows everybody cannot say who is there. */
  takesAny(gateway: string, domain: string, any: boolean): void;
  listUnusable(gateway: string, why: string): void;
}

export function gatewayEvents(log: Log, registry: Registry): GatewayEvents {
  const answers = registry.counter(
    "gateway_answers",
    "Recipients of gateway domains that were asked about, by gateway, answer and memory",
  );
  const reachable = registry.gauge(
    "gateway_reachable",
    "1 when the last question about a recipient was answered, by gateway",
  );
  const takers = registry.gauge(
    "gateway_takes_any",
    "1 when the server inside takes mail for any address, by gateway and domain",
  );
  return {
    answered(gateway, answer, isFromMemory) {
      answers.add({ gateway, answer, memory: isFromMemory ? "yes" : "no" });
    },
    reachable(gateway, isReachable, why) {
      reachable.set(isReachable ? 1 : 0, { gateway });
      const what = isReachable ? "gateway.answers-again" : "gateway.cannot-be-asked";
      log.write(isReachable ? "info" : "error", what, { gateway, why });
    },
    takesAny(gateway, domain, any) {
      takers.set(any ? 1 : 0, { gateway, domain });
      if (!any) return;
      const advice = "the server takes any address: use recipients list or ldap";
      log.write("warn", "gateway.takes-any", { gateway, domain, advice });
    },
    listUnusable: (gateway, why) => log.write("error", "gateway.list-unusable", { gateway, why }),
  };
}
