/** Header sections of messages as offsets on untouched octets (RFC 5322 §2.2). */

export {
  type Field,
  field,
  fields,
  type Header,
  headerEnd,
  maxHeaderBytes,
  parseHeader,
  rawField,
  valueOf,
} from "./header.ts";
