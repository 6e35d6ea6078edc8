/** Header fields in their "relaxed" form (RFC 6376 §3.4.2). */

/** @param field name, colon and value, one character an octet; with or without its line break */
export function relaxedField(field: string): string {
  const colon = field.indexOf(":");
  const name = field
    .slice(0, colon)
    .replace(/[ \t]+$/, "")
    .toLowerCase();
  const value = field
    .slice(colon + 1)
    .replace(/\r?\n/g, "")
    .replace(/[ \t]+/g, " ")
    .replace(/^ | $/g, "");
  return `${name}:${value}`;
}
