/** The SMTP server engine (RFC 5321): port 25 of the edge, and submission (RFC 6409, RFC 8314). */

export {
  type ConnectorPorts,
  type ConnectorRules,
  connectorRules,
} from "./connectors.ts";
export { smtpParameters } from "./parameters.ts";
export { type MessageRoom, messageRoom, pieceBytes } from "./room.ts";
export { createSmtpServer, type SmtpServer } from "./server.ts";
export type { TarpitOptions } from "./tarpit.ts";
export type {
  ChannelBinding,
  ContentFacts,
  ContentSink,
  PeerPort,
  PeerRules,
  SaslDialogue,
  SaslPort,
  SaslStep,
  ShownCertificate,
  SmtpAuth,
  SmtpAuthOutcome,
  SmtpHandler,
  SmtpLimits,
  SmtpServerOptions,
  SmtpSession,
  Transaction,
} from "./types.ts";
