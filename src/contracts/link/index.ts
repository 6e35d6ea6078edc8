/** The link between the inside and an edge: many streams on one mutual-TLS connection. */

export type { Link, LinkStream, OpenOptions, StreamKind } from "./link.ts";
export { linkPair, muxOver } from "./mux.ts";
