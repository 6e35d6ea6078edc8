/** Connectors as administrators look at them: facts, health, secrets that grow old, and a try. */

export { connectorFacts, withDefault } from "./facts.ts";
export { connectorHealth, type Health } from "./health.ts";
export { type Probe, type ProbePorts, probe } from "./probe.ts";
export { watchSecrets } from "./secret-watch.ts";
