/** What edge-web is told at its start: plain JSON, no secret in it but file names. */

import type { Endpoint } from "#base/net";

export interface EdgeWebSettings {
  readonly listen: Endpoint;
  /**
   * Names this front answers for before the inside has told it a policy, with a port where clients
   * see another one than `listen`.
   */
  readonly publishedHosts: readonly string[];
  /** PEM files; replaced when the inside installs a certificate. */
  readonly tls: { readonly certFile: string; readonly keyFile: string };
  /** Ed25519, SubjectPublicKeyInfo in PEM: whoever holds its other half sets the policy. */
  readonly policyPublicKey: string;
  /** A plain HTTP port that only leads to HTTPS. */
  readonly redirectListen?: Endpoint;
  /** Networks of balancers whose connections begin with a PROXY header, v1 or v2. */
  readonly proxyTrusted?: readonly string[];
  /** Keys of `webParameters`; absent ones keep their default. */
  readonly limits?: Readonly<Record<string, unknown>>;
}
