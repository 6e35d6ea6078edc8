/** Mail addresses: strict in the envelope, forgiving in the header. */

export { isIpv6, parseAddressLiteral, parseDomain } from "./domain.ts";
export { parseAddressList } from "./list.ts";
export {
  type AddressFault,
  parseMailbox,
  type ScannedPath,
  scanPath,
  splitPath,
} from "./mailbox.ts";
