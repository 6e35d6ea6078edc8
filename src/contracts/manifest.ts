/** What a program is and may do: start flags, service units, the port matrix and checks read it. */

export interface Manifest {
  readonly name: "edge-smtp" | "edge-web" | "hub" | "keyring";
  readonly purpose: string;
  readonly zone: "dmz" | "inside" | "caged";
  readonly trusts: string;
  readonly listens: readonly string[];
  readonly dials: readonly string[];
  readonly reads: readonly string[];
  readonly writes: readonly string[];
  readonly secrets: readonly string[];
  readonly standards: readonly string[];
  /** Rooms above floor 3 that its import graph may reach; tools/checks compares. */
  readonly mayReach: readonly string[];
  /** Node flags that hold for this program (docs/decisions/0005). */
  readonly fence: "permission" | "plain";
}
