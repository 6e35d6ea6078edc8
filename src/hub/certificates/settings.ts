/** What the hub is told of certificates: which names each place serves, and who issues them. */

import type { Values } from "#base/parameters";
import type { acmeParameters } from "#keys/authority";

/** Where a certificate is served: each has a key of its own. */
export const placeNames = ["edge-web", "edge-smtp", "hub"] as const;
export type PlaceName = (typeof placeNames)[number];

export interface PlaceSettings {
  /** Names that clients are told, lower case. */
  readonly names: readonly string[];
  /** Whether strangers can reach it: it listens on more than loopback, on the side of the Internet. */
  readonly outside: boolean;
}

export interface CertificateSettings {
  /** PEM file with the certificate of the installation's own authority. */
  readonly authority: string;
  readonly places: Readonly<Record<PlaceName, PlaceSettings>>;
  /** The administrator named those of the web edge: no others are added. */
  readonly areNamesGiven: boolean;
  readonly acme: Values<typeof acmeParameters>;
}
