/** The link between the inside and an edge: many streams on one mutual-TLS connection. */

export { exchangeHello, type Hello, linkProtocol, linkVersion } from "./hello.ts";
export { kindRules, type LinkClass, linkClasses } from "./kinds.ts";
export type { Link, LinkStream, OpenOptions, StreamKind } from "./link.ts";
export { linkPair, type MuxOptions, type MuxRole, muxDefaults, muxOver } from "./mux.ts";
export { duplexOn, join } from "./octets.ts";
export { type Fingerprint, parseFingerprint, pinnedName } from "./pins.ts";
export { LinkSet, type Links } from "./set.ts";
