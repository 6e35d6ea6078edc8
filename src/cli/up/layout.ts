/** Where things lie in a data folder. One folder per program, so that each can be fenced in. */

import { join } from "node:path";
import type { Manifest } from "#contracts/manifest";

export interface Layout {
  readonly data: string;
  readonly ready: string;
  readonly config: string;
  readonly demo: string;
  /** The installation's own certificate authority, for what clients see. */
  readonly pki: string;
  readonly siteAuthority: string;
  readonly edge: string;
  readonly edgeSmtp: string;
  readonly edgeWeb: string;
  /** What an edge on a machine of its own was told when it was enrolled. */
  readonly enrolment: string;
  readonly hub: string;
  /** The edges that were enrolled, with their pins. */
  readonly edges: string;
  readonly store: string;
  readonly keyring: string;
  readonly logs: string;
}

export function layoutOf(data: string): Layout {
  const edge = join(data, "edge");
  const hub = join(data, "hub");
  return {
    data,
    ready: join(data, "ready.json"),
    config: join(data, "postern.toml"),
    demo: join(data, "demo.json"),
    pki: join(data, "pki"),
    siteAuthority: join(data, "pki/site-ca.pem"),
    edge,
    edgeSmtp: join(edge, "smtp"),
    edgeWeb: join(edge, "web"),
    enrolment: join(edge, "enrolment.json"),
    hub,
    edges: join(hub, "edges.json"),
    store: join(hub, "store"),
    keyring: join(data, "keyring"),
    logs: join(data, "logs"),
  };
}

/** The folder that a program may read, and write what its manifest says. */
export function folderOf(program: Manifest["name"], layout: Layout): string {
  const folders = {
    "edge-smtp": layout.edgeSmtp,
    "edge-web": layout.edgeWeb,
    hub: layout.hub,
    keyring: layout.keyring,
  };
  return folders[program];
}
