/** ARC: what servers on the way say they saw, as one sealed chain (RFC 8617). Pure. */

export { type ArcPorts, checkArc } from "./check.ts";
export { type ArcOrder, arcSeal } from "./seal.ts";
