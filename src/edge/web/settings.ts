/** What edge-web is told at its start: plain JSON, no secret in it but file names. */

import type { Endpoint } from "#base/net";

export interface EdgeWebSettings {
  readonly listen: Endpoint;
  /** Names this front answers for, with a port where clients see another one than `listen`. */
  readonly publishedHosts: readonly string[];
  /** PEM files; read again by `reloadCertificate()`. */
  readonly tls: { readonly certFile: string; readonly keyFile: string };
  /** A plain HTTP port that only leads to HTTPS. */
  readonly redirectListen?: Endpoint;
  /** Keys of `webParameters`; absent ones keep their default. */
  readonly limits?: Readonly<Record<string, unknown>>;
}
