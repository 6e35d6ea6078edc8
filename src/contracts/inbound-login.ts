/**
 * How the mail edge has a partner's login judged, one stream of kind authenticate for each step: the
 * edge holds no secret, and the inside no connection to the client.
 */

/** What a partner may log in with; -PLUS on TLS 1.3 alone. */
export const partnerMechanisms = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN"] as const;
export type PartnerMechanism = (typeof partnerMechanisms)[number];

export interface LoginStep {
  /** The same for all steps of one AUTH: 32 hexadecimal digits. */
  readonly dialogue: string;
  readonly mechanism: PartnerMechanism;
  /** What the client said, base64. */
  readonly response: string;
  /** Address of the client. */
  readonly from: string;
  /** The tls-exporter value of its connection (RFC 9266), base64; absent: it has none. */
  readonly exporter?: string;
}

export type LoginAnswer =
  /** To be sent to the client, base64; its response is the next step. */
  | { readonly challenge: string }
  | { readonly user: string }
  | {
      /** bad-response: the client does not speak the mechanism. The others as in `LoginOutcome`. */
      readonly refused: "refused" | "slow-down" | "busy" | "bad-response";
    };

/** Our limits. RFC 4954 §4 gives a line of AUTH 12,288 octets. */
export const maxLoginResponse = 12_288;
export const dialogueLastsMs = 60_000;
