/** What readers ask of a message again and again, made once from its octets. */

/** One address of a header field; a group is its members with the group's name on each. */
export interface MailAddress {
  /** Display name, decoded (RFC 2047), or null. */
  readonly name: string | null;
  /** `local@domain` as written, without comments. */
  readonly email: string;
  readonly group?: string;
}

/** A node of the MIME tree (RFC 2045). Offsets count octets from the start of the whole message. */
export interface MimePart {
  /** IMAP section number: "1.2"; "" for the root of a multipart. */
  readonly section: string;
  /** Lower case. */
  readonly type: string;
  readonly subtype: string;
  /** Names in lower case, values decoded (RFC 2231). In order of appearance. */
  readonly parameters: readonly (readonly [string, string])[];
  readonly disposition: string | null;
  readonly dispositionParameters: readonly (readonly [string, string])[];
  /** Content-ID with its angle brackets, Content-Description, Content-Location, Content-MD5; or null. */
  readonly id: string | null;
  readonly description: string | null;
  readonly location: string | null;
  readonly md5: string | null;
  readonly language: readonly string[];
  /** Lower case; "7bit" when absent. */
  readonly encoding: string;
  /** The part's own header, its blank line included. */
  readonly headerStart: number;
  readonly bodyStart: number;
  /** Behind the last octet of the body. */
  readonly bodyEnd: number;
  /** Lines of the body, for text and message parts. */
  readonly lines: number;
  /** Children of a multipart. */
  readonly parts: readonly MimePart[];
  /** For message/rfc822 and message/global: the message inside. */
  readonly message?: { readonly envelope: MailEnvelope; readonly root: MimePart };
}

/** The fields that IMAP ENVELOPE and mail lists show (RFC 9051 §7.5.2). */
export interface MailEnvelope {
  /** The Date field as written, or null. */
  readonly date: string | null;
  /** The Date field as a moment, or null when it cannot be read. */
  readonly sentAtMs: number | null;
  /** Decoded and unfolded. */
  readonly subject: string | null;
  readonly from: readonly MailAddress[];
  readonly sender: readonly MailAddress[];
  readonly replyTo: readonly MailAddress[];
  readonly to: readonly MailAddress[];
  readonly cc: readonly MailAddress[];
  readonly bcc: readonly MailAddress[];
  /** Message ids with their angle brackets. */
  readonly inReplyTo: string | null;
  readonly messageId: string | null;
}

export interface Description {
  readonly envelope: MailEnvelope;
  /** Message ids with their angle brackets, oldest first, at most 100. */
  readonly references: readonly string[];
  readonly root: MimePart;
  readonly sizeBytes: number;
  /** First words of the readable text, white space folded, at most 256 characters. */
  readonly preview: string;
  readonly hasAttachment: boolean;
}
