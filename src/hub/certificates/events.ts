/** What the certificates tell: log record, counter and gauge together. */

import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { PlaceName } from "./settings.ts";

export interface CertificateEvents {
  seen(place: PlaceName, daysLeft: number): void;
  ordered(place: PlaceName): void;
  orderFailed(place: PlaceName, why: string, againInMs: number): void;
}

export function certificateEvents(log: Log, registry: Registry): CertificateEvents {
  const days = registry.gauge("certificate_days_left", "Days until a served certificate expires");
  const orders = registry.counter("acme_orders", "Certificates ordered, by place and outcome");
  return {
    seen: (place, daysLeft) => days.set(daysLeft, { place }),
    ordered(place) {
      orders.add({ place, outcome: "installed" });
      log.write("info", "certificates.ordered", { place });
    },
    orderFailed(place, why, againInMs) {
      orders.add({ place, outcome: "failed" });
      const again_s = Math.round(againInMs / 1000);
      log.write("error", "certificates.order-failed", { place, why, again_s });
    },
  };
}
