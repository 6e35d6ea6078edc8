/** IMAP4rev2 and IMAP4rev1 over TLS (RFC 9051, RFC 3501, RFC 8314). */

export { type ImapLimits, imapParameters } from "./parameters.ts";
export { createImapServer, type ImapServer, type ImapServerOptions } from "./server.ts";
