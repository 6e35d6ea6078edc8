/** What each kind of stream carries in each direction; both ends hold the other to it. */

import type { StreamKind } from "./link.ts";

export interface KindRules {
  /** Number on the wire. Never used again for another kind. */
  readonly number: number;
  /** Whether the opener sends data and a trailer; otherwise its direction ends with the header. */
  readonly openerSends: boolean;
  /** What comes back: nothing, an answer alone, or an answer and then data. */
  readonly comesBack: "nothing" | "answer" | "data";
  /** Connection that carries it: bulk mail never stands before a login. */
  readonly linkClass: LinkClass;
  /** Open for as long as a client wants; counted apart, so that they never take another's place. */
  readonly lastsLong?: true;
  /** Version of the link that brought it; 1 when absent. A peer of an older one never sees it. */
  readonly since?: number;
}

export const linkClasses = ["prompt", "bulk"] as const;
export type LinkClass = (typeof linkClasses)[number];

export const kindRules: Readonly<Record<StreamKind, KindRules>> = {
  deposit: { number: 1, openerSends: true, comesBack: "answer", linkClass: "bulk" },
  asked: { number: 2, openerSends: false, comesBack: "answer", linkClass: "prompt" },
  refused: { number: 3, openerSends: false, comesBack: "nothing", linkClass: "bulk" },
  login: { number: 4, openerSends: false, comesBack: "answer", linkClass: "prompt" },
  logout: { number: 5, openerSends: false, comesBack: "nothing", linkClass: "prompt" },
  web: {
    number: 6,
    openerSends: true,
    comesBack: "data",
    linkClass: "prompt",
    lastsLong: true,
  },
  samples: { number: 7, openerSends: false, comesBack: "nothing", linkClass: "prompt" },
  policy: { number: 8, openerSends: true, comesBack: "answer", linkClass: "prompt" },
  dial: { number: 9, openerSends: true, comesBack: "data", linkClass: "bulk" },
  resolve: { number: 10, openerSends: false, comesBack: "answer", linkClass: "prompt" },
  sealed: { number: 11, openerSends: true, comesBack: "answer", linkClass: "bulk" },
  witness: {
    number: 12,
    openerSends: false,
    comesBack: "answer",
    linkClass: "prompt",
    since: 2,
  },
  certify: {
    number: 13,
    openerSends: false,
    comesBack: "answer",
    linkClass: "prompt",
    since: 3,
  },
  tcp: {
    number: 14,
    openerSends: true,
    comesBack: "data",
    linkClass: "bulk",
    lastsLong: true,
    since: 3,
  },
  recipient: {
    number: 15,
    openerSends: false,
    comesBack: "answer",
    linkClass: "prompt",
    since: 4,
  },
  authenticate: {
    number: 16,
    openerSends: false,
    comesBack: "answer",
    linkClass: "prompt",
    since: 4,
  },
};

const byNumber = new Map<number, StreamKind>(
  Object.entries(kindRules).map(([kind, rules]) => [rules.number, kind as StreamKind]),
);

export function kindOfNumber(number: number): StreamKind | undefined {
  return byNumber.get(number);
}
