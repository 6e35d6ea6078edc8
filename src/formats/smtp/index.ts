/** SMTP as text: commands, replies, extensions; for the server and for the client. */

export {
  type Command,
  type CommandFault,
  type MailCommand,
  parseCommand,
} from "./command.ts";
export {
  type Extensions,
  parseExtensions,
  type ServerLimits,
  serverLimits,
  sizeLimit,
} from "./extensions.ts";
export { formatReply, type ReplyFault, ReplyParser } from "./reply.ts";
export { decodeXtext, encodeXtext } from "./xtext.ts";
