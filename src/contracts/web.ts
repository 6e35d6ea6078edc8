/** Web requests and logins as they cross the link: already parsed and bounded by the edge. */

/** Lower-case names and values, in order; a name may come again (Cookie never does, nor Host). */
export type HeaderList = readonly (readonly [name: string, value: string])[];

export interface WebRequest {
  /** Of the publishing rule that the request met: "postern" or a published application. */
  readonly application: string;
  /** One that the rule lists. */
  readonly method: string;
  /** Path and query, normalised once by the edge: no dot segments, no second encoding. */
  readonly target: string;
  /**
   * What the edge lets through. For "postern" a short allow-list; for other applications everything
   * but hop-by-hop fields, Host, Forwarded and its like, and cookies and credentials of ours.
   */
  readonly headers: HeaderList;
  /** Octets of the body; "chunked" when the length is not known; 0: none. */
  readonly body: number | "chunked";
  /** Opaque session handle from our cookie, when there was one. */
  readonly session?: string;
  /** Credentials of a rule whose login is "basic". */
  readonly basic?: { readonly name: string; readonly password: string };
  /** The rule asks for nobody: neither session nor credentials are looked at. */
  readonly anonymous?: true;
  /** The client asked for WebSocket and the rule allows it: after 101 raw octets go both ways. */
  readonly upgrade?: "websocket";
  readonly clientAddress: string;
  /** The published host name the client used, with its port where it named one. */
  readonly host: string;
}

/** Why there is no answer of an application. */
export type WebRefusal =
  /** No session, or it is over: the edge clears its cookie and shows the form. */
  | "session"
  /** Basic credentials were wrong, or slowed down: the edge asks again. */
  | "credentials"
  | "slow-down"
  /** Signed in only to enrol a second factor: the edge leads to where that is done. */
  | "enrol"
  /** Signed in, and not allowed here (a public computer and an attachment, for one). */
  | "not-allowed"
  /** The application did not answer, or not as HTTP; `why` is for the log. */
  | "unreachable"
  | "not-published";

export type WebResponse =
  | {
      /** 101 only after an upgrade that was asked for; no other interim status crosses. */
      readonly status: number;
      readonly headers: HeaderList;
      /** Octets of the body that follows, when the inside knows. */
      readonly bodyBytes?: number;
    }
  | { readonly refused: WebRefusal; readonly why?: string };

/** Stream kind login: one step of a login; class "prompt" so that mail cannot starve it. */
export type WebLogin =
  | ({
      readonly step: "password";
      readonly name: string;
      readonly password: string;
      /** A public computer gets a shorter session and no cache. */
      readonly publicComputer: boolean;
    } & WebLoginFrom)
  /** Six digits of the authenticator, or a recovery code. */
  | ({ readonly step: "code"; readonly pending: string; readonly code: string } & WebLoginFrom)
  /** Asks for a challenge: as the second factor of `pending`, or as the only one without it. */
  | ({
      readonly step: "passkey-challenge";
      readonly pending?: string;
      readonly publicComputer: boolean;
    } & WebLoginFrom)
  /** @property credential JSON text of the browser's answer (WebAuthn §5.1 AuthenticationResponseJSON) */
  | ({
      readonly step: "passkey";
      readonly pending: string;
      readonly credential: string;
    } & WebLoginFrom)
  | ({ readonly step: "oidc-start"; readonly publicComputer: boolean } & WebLoginFrom)
  /** @property query of the redirect that came back, without "?" (OpenID Connect Core §3.1.2.5) */
  | ({ readonly step: "oidc"; readonly pending: string; readonly query: string } & WebLoginFrom);

export interface WebLoginFrom {
  readonly clientAddress: string;
  /** The published host, as in WebRequest: passkeys and redirects belong to it. */
  readonly host: string;
}

export type SecondFactor = "code" | "passkey";

export type WebLoginOutcome =
  | {
      readonly ok: true;
      readonly session: string;
      readonly idleSeconds: number;
      readonly absoluteSeconds: number;
      /** Whether it was chosen when the login began; the edge shortens its cookie by it. */
      readonly publicComputer: boolean;
    }
  | { readonly ok: false; readonly reason: "refused" | "slow-down" | "busy" }
  /** The password was right and is not enough. `pending` lives some minutes and few tries. */
  | {
      readonly ok: false;
      readonly reason: "second-factor";
      readonly pending: string;
      readonly factors: readonly SecondFactor[];
    }
  /** @property options JSON text of PublicKeyCredentialRequestOptionsJSON (WebAuthn §5.1.9) */
  | {
      readonly ok: false;
      readonly reason: "challenge";
      readonly pending: string;
      readonly options: string;
    }
  /** The browser goes to the OpenID provider; `pending` waits in a cookie until it returns. */
  | {
      readonly ok: false;
      readonly reason: "redirect";
      readonly pending: string;
      readonly location: string;
    };

/** Stream kind tcp: the services whose ciphertext the edge passes on unread. */
export type TcpService = "imaps" | "pop3s" | "submissions";

/** Header of a stream of kind tcp; the answer is TcpAnswer, then raw octets go both ways. */
export interface TcpRequest {
  readonly service: TcpService;
  readonly clientAddress: string;
  readonly clientPort: number;
}

export type TcpAnswer = { readonly ok: true } | { readonly ok: false; readonly why: string };
