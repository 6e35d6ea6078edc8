/** An SMTP reply (RFC 5321 §4.2) with its enhanced status code (RFC 3463). */

export interface Reply {
  readonly code: number;
  /** "5.7.1"; absent where RFC 2034 §4 wants none (greeting, EHLO, 354). */
  readonly status?: string;
  /** One line or several; ASCII, no CR or LF inside a line. */
  readonly text: string | readonly string[];
}

export function isPositive(reply: Reply): boolean {
  return reply.code < 400;
}

export function isPermanent(reply: Reply): boolean {
  return reply.code >= 500;
}
