/** A search filter with an address in it that cannot change what is asked (RFC 4515 §3). */

/** @param template with "{address}" where the address goes, once or more */
export function filterFor(template: string, address: string): string {
  return template.replaceAll("{address}", () => escaped(address));
}

/** Beyond ASCII nothing is special; ldapts takes an escaped octet for a character of its own. */
function escaped(value: string): string {
  return value.replace(
    /[\\*()\0]/g,
    (one) => `\\${one.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
