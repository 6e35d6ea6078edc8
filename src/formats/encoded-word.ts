/** Words of other charsets in header fields (RFC 2047, RFC 2231), and charsets themselves. */

export { decodeCharset } from "./encoded-word/charset.ts";
export { formatParameter, type ParameterList, parseParameters } from "./encoded-word/parameters.ts";
export { decodeWords, encodeWords } from "./encoded-word/words.ts";
