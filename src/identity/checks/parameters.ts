/** Settings of the sender checks. */

import type { Parameter } from "#base/parameters";

/** An alias, not an interface: only that counts as a table of any parameters. */
type Table = {
  readonly ownRelays: Parameter<readonly string[]>;
  readonly trustedSealers: Parameter<readonly string[]>;
  readonly arcSeal: Parameter<boolean>;
  readonly praMode: Parameter<string>;
};

export const identityParameters: Table = {
  ownRelays: {
    default: [],
    doc: "Networks of own relays and managed providers that hand mail on, as 192.0.2.0/24: the host before them is the one that is checked.",
  },
  trustedSealers: {
    default: [],
    doc: "Domains whose ARC seals are believed, such as forwarders your people use.",
  },
  arcSeal: {
    default: false,
    doc: "Puts an ARC seal of the first domain on mail that is forwarded elsewhere, so that others may believe what was verified here.",
  },
  praMode: {
    default: "rfc4407",
    oneOf: ["rfc4407", "mail-from-fallback"],
    doc: "Sender ID without a purported responsible address: none (rfc4407), or MAIL FROM stands in for it.",
  },
};
