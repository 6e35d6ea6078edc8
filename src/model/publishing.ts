/** What the web front publishes: rules from a host and a path to an application (default deny). */

/** How somebody proves who they are before a request may go in. */
export type LoginWay =
  /** By our form; without a session a browser is led there. */
  | "form"
  /** By Basic inside TLS, asked for by 401: for programs that know no form (mobile sync, EWS). */
  | "basic"
  /** Not at all: discovery documents and the like. */
  | "none";

/**
 * How strict the spelling of a target is. "plain": no delimiter may come escaped, in path or query
 * of Postern's own pages. "mail": paths may also hold escaped octets that stand for themselves, as
 * folder and message names of other webmail do ("%25", "%26", "..", emoji), never a second decoding.
 */
export type TargetRules = "plain" | "mail";

export interface PublishingRule {
  /** "postern", or the name of a published application. */
  readonly application: string;
  /** Published host names it holds for, lower case; empty: all of them. */
  readonly hosts: readonly string[];
  /** Normalised; holds for itself and for whatever is below it, segment by segment. */
  readonly path: string;
  /** Holds for `path` alone. */
  readonly exact?: boolean;
  /** Letters of the path compare without case, as some applications of Windows do. */
  readonly ignoreCase?: boolean;
  /** Request methods (RFC 9110 §9.1), upper case. */
  readonly methods: readonly string[];
  readonly login: LoginWay;
  readonly targets: TargetRules;
  /** Upgrades to WebSocket (RFC 6455) may pass. */
  readonly webSocket?: boolean;
  /** The body must be application/json: no form of a foreign page can send that. */
  readonly needsJson?: boolean;
  /** Requests may come from pages of other origins (no cookie of ours is looked at then). */
  readonly crossOrigin?: boolean;
  /** Greatest body; the front's own limit when absent. */
  readonly bodyMaxBytes?: number;
  /** How long an answer may keep its client waiting for octets, where that is longer than elsewhere. */
  readonly answerTimeoutMs?: number;
}

/** What the login page offers besides a password. */
export interface LoginOffer {
  readonly passkeys: boolean;
  /** Label of the button that leads to the OpenID provider; absent: none. */
  readonly oidcLabel?: string;
}

/** A text that the front answers itself, on hosts that have nothing else. */
export interface PublishedText {
  /** Lower case; none of those that have rules. */
  readonly hosts: readonly string[];
  readonly path: string;
  readonly text: string;
}

/** What the inside tells the web edge, signed like any policy; replaced as a whole. */
export interface WebPolicy {
  /** Grows with each change; an edge refuses an older one. */
  readonly version: number;
  /** Names the front answers for, lower case, with a port where clients see another one. */
  readonly hosts: readonly string[];
  readonly rules: readonly PublishingRule[];
  /** Policies of MTA-STS (RFC 8461 §3.3); absent: none. */
  readonly texts?: readonly PublishedText[];
  readonly login: LoginOffer;
}
