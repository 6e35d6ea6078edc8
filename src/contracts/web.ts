/** Web requests as they cross the link: already parsed and bounded by the edge. */

export interface WebRequest {
  readonly method: string;
  /** Path and query, normalised once by the edge: no dot segments, no second encoding. */
  readonly target: string;
  /** Lower-case names, an allow-list of the edge; never Cookie, Host or Authorization. */
  readonly headers: Readonly<Record<string, string>>;
  /** Opaque session handle from the cookie, when there was one. */
  readonly session?: string;
  readonly clientAddress: string;
  /** The published host name the client used. */
  readonly host: string;
}

export interface WebResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** Asked once when the login form comes in; class "login" so that mail cannot starve it. */
export interface WebLogin {
  readonly name: string;
  readonly password: string;
  /** A public computer gets a shorter session and no cache. */
  readonly publicComputer: boolean;
  readonly clientAddress: string;
}

export type WebLoginOutcome =
  | {
      readonly ok: true;
      readonly session: string;
      readonly idleSeconds: number;
      readonly absoluteSeconds: number;
    }
  | { readonly ok: false; readonly reason: "refused" | "slow-down" | "busy" };
