/** The SMTP envelope (RFC 5321 §2.3.1), kept beside the message and never written into it. */

/** Address as `local@domain`; the domain in lower case, the local part as given. Null path: "". */
export type Path = string;

/** RFC 3461 wishes of one recipient. */
export interface DsnWishes {
  readonly notify?: readonly ("never" | "success" | "failure" | "delay")[];
  /** ORCPT as given: "rfc822;user+40example.org". */
  readonly originalRecipient?: string;
}

export interface Recipient extends DsnWishes {
  readonly path: Path;
}

export interface Envelope {
  readonly reversePath: Path;
  readonly recipients: readonly Recipient[];
  /** SMTPUTF8 was asked for (RFC 6531). */
  readonly utf8?: boolean;
  /** BODY=: what the content may hold (RFC 6152, RFC 3030). */
  readonly body?: "7bit" | "8bitmime" | "binarymime";
  /** REQUIRETLS was asked for (RFC 8689 §2). */
  readonly requireTls?: boolean;
  /** RET= (RFC 3461 §4.3). */
  readonly dsnReturn?: "full" | "headers";
  /** ENVID= decoded (RFC 3461 §4.4). */
  readonly envelopeId?: string;
}
