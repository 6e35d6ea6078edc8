/** IMAP on the wire: reading what clients send, writing what a server answers (RFC 9051, RFC 3501). */

export type {
  AppendCommand,
  Command,
  CommandName,
  CopyCommand,
  FetchCommand,
  ListCommand,
  PlainCommand,
  QuickResync,
  SearchCommand,
  SearchReturn,
  SelectCommand,
  StatusItem,
  StoreCommand,
} from "./command.ts";
export { formatEnvelope } from "./envelope.ts";
export type { FetchItem, Partial, Section, SectionItem, SimpleItem } from "./fetch-items.ts";
export { type ParsedCommand, parseAppendStart, parseCommand, tagOf } from "./parse-command.ts";
export {
  CommandReader,
  maxUnaskedLiteral,
  type RawCommand,
  type ReaderEvent,
  type ReaderFault,
} from "./reader.ts";
export type { SearchKey } from "./search-keys.ts";
export { formatSet, type SequenceRange, type SequenceSet } from "./sequence.ts";
export {
  formatFlags,
  formatHeaderText,
  formatQuoted,
  formatString,
  settableFlags,
} from "./strings.ts";
export { formatStructure } from "./structure.ts";
export { decodeUtf7, encodeUtf7 } from "./utf7.ts";
