/** Which programs a machine runs. */

import type { Manifest } from "#contracts/manifest";

/** "inside" and "edge" are the two machines of a split installation. */
export type Role = "all" | "inside" | "edge";

export type ProgramName = Manifest["name"];

/** In the order in which they start. */
export const programsOf: Readonly<Record<Role, readonly ProgramName[]>> = {
  all: ["keyring", "edge-smtp", "edge-web", "hub"],
  inside: ["keyring", "hub"],
  edge: ["edge-smtp", "edge-web"],
};

export function hasEdge(role: Role): boolean {
  return role !== "inside";
}

export function hasInside(role: Role): boolean {
  return role !== "edge";
}
