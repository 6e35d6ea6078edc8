/** What publishing tells: log records and counters together. */

import type { Clock } from "#base/clock";
import { TokenBucket } from "#base/limits";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { WebRefusal } from "#contracts/web";
import type { Why } from "./connection.ts";

export interface PublishEvents {
  asked(application: string): void;
  refused(application: string, refusal: WebRefusal, why?: string): void;
  /** @param detail may name machines of the inside: for our own log alone */
  failed(application: string, why: Why, detail: string): void;
}

/** An application that is down would fill the log: the counter has them all. */
const recordsPerSecond = 1;
const recordsAtOnce = 20;

export function publishEvents(log: Log, registry: Registry, clock: Clock): PublishEvents {
  const requests = registry.counter("published_requests", "Requests to published applications");
  const refusals = registry.counter(
    "published_refusals",
    "Requests that did not reach a published application, by reason",
  );
  const failures = registry.counter(
    "published_failures",
    "Published applications that did not answer, or not as HTTP, by reason",
  );
  const room = new TokenBucket(clock, recordsPerSecond, recordsAtOnce);
  return {
    asked: (application) => requests.add({ application }),
    refused(application, refusal, why) {
      refusals.add({ application, refusal });
      if (why !== undefined && room.take()) {
        log.write("warn", "publish.refused", { application, refusal, why });
      }
    },
    failed(application, why, detail) {
      failures.add({ application, why });
      if (room.take()) log.write("warn", "publish.failed", { application, why, detail });
    },
  };
}
