/** Named ways in and out: what an administrator writes, which one is used, when, and its secrets. */

export { readConnectorFiles } from "./files.ts";
export { checkInbound, completeInbound, type InboundPeer, matchInbound } from "./inbound.ts";
export { checkOutbound, completeOutbound, defaultOutbound, directOf } from "./outbound.ts";
export {
  type InboundValues,
  inboundParameters,
  type OutboundValues,
  outboundParameters,
} from "./parameters.ts";
export { formatWindow, isOpenNow, nextOpenAtMs } from "./schedule.ts";
export { readSecrets, type Secret } from "./secrets.ts";
export { type Chosen, chooseOutbound, formatSpace, parseSpace, rankOutbound } from "./space.ts";
