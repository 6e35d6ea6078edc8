/** JMAP for the webmail and other clients (RFC 8620, RFC 8621), free of any transport. */

export type { JmapDeps } from "./context.ts";
export { createJmap, type Download, type Jmap, type StateChange, type Uploaded } from "./jmap.ts";
export { coreLimits } from "./limits.ts";
export { isProblem, type Problem } from "./request.ts";
