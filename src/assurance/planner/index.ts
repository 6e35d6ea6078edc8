/**
 * Placement planner: which host stands where, which ports open and why, what a taken host could
 * reach, and the firewall rules and tunnels that follow. Topology files come from administrators.
 */

export { csvText } from "./csv.ts";
export { findingsOf, type PlanFinding } from "./findings.ts";
export { type Flow, openCount, type Party, portText, serviceText } from "./flow.ts";
export { type LayoutName, layoutNames, layoutText, layoutTopology } from "./layouts.ts";
export { hostRules, zoneRules } from "./nftables.ts";
export { pictureText } from "./picture.ts";
export { makePlan, type Plan } from "./plan.ts";
export { type BlastRadius, blastRadii, type Reach } from "./reach.ts";
export { readTopology } from "./read-topology.ts";
export { swanctlText } from "./swanctl.ts";
export { publishable, type Topology, usualPorts } from "./topology.ts";
export {
  type Probe,
  type ProbeAnswer,
  type ProbeResult,
  type Vantage,
  type Verification,
  vantageOf,
  verifyPlan,
} from "./verify.ts";
export { type WireguardFile, wireguardFiles } from "./wireguard.ts";
