/** User names and secrets made comparable: SASLprep (RFC 4013), which SCRAM demands (RFC 5802 §2.2). */

/** Our limit, in UTF-16 units: longer than any secret that a person or a generator makes. */
const maxLength = 1024;

const ascii = /^[\x20-\x7e]*$/;
/** RFC 3454 table C.1.2. */
const otherSpaces = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu;
/** RFC 3454 table B.1; alternatives, because combining characters in a class read as one. */
const droppedOnes =
  /[\u00ad\u1806\u2060\ufeff]|\u034f|[\u180b-\u180d]|\u200c|\u200d|[\ufe00-\ufe0f]/gu;
/** RFC 4013 §2.3. */
const prohibited =
  /[\p{Cc}\p{Cs}\p{Co}\p{Noncharacter_Code_Point}\u06dd\u070f\u180e\u200e\u200f\u2028-\u202e\u2061-\u2063\u206a-\u206f\u2ff0-\u2ffb\ufff9-\ufffd\u{1d173}-\u{1d17a}\u{e0001}\u{e0020}-\u{e007f}]|\u0340|\u0341/u;

/**
 * SASLprep. Differs from RFC 4013 §2.4 and §2.5: neither the rule for bidirectional text nor the one
 * for unassigned code points is applied; they would refuse secrets that compare well all the same.
 * PRECIS (RFC 8265) is not what RFC 5802 and RFC 7677 name, and differs in what NFKC folds.
 *
 * @returns undefined when nothing is left, or something is in it that no secret may hold
 */
export function prepareSecret(text: string): string | undefined {
  if (text === "" || text.length > maxLength) return undefined;
  if (ascii.test(text)) return text;
  const prepared = text.replace(otherSpaces, " ").replace(droppedOnes, "").normalize("NFKC");
  return prepared === "" || prohibited.test(prepared) ? undefined : prepared;
}
