/** Mail that leaves: what is due goes out, is tried again, and its sender is told how it ended. */

export { type FlightLog, openFlightLog } from "./flight.ts";
export { type Host, type HostDeps, type Hosts, hostsFor } from "./hosts.ts";
export type { Notice, NoticeKind } from "./notices.ts";
export { checkQueue, type QueueParameters, queueParameters } from "./parameters.ts";
export {
  type Hop,
  type HopAnswer,
  type HopPolicies,
  type Leaving,
  NoWayOut,
  type QueueDeps,
  type Way,
} from "./ports.ts";
export { createQueue, type Queue } from "./queue.ts";
