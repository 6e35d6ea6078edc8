/** Which octets may stand where in a head (RFC 9110 §5.6.2, §5.5; RFC 3986 §2). */

/** May stand in a token. */
export const tokenOctet = 1;
/** One of A to Z: the name has to be folded. */
export const upperOctet = 2;
/** May stand in a value: visible, obs-text, space and tab; never CR, LF, NUL or another control. */
export const valueOctet = 4;
/** May stand in a request target: visible ASCII. */
export const targetOctet = 8;

/** Is "_", which some gateways read as "-". */
export const underscoreOctet = 16;

/** What each octet may do; one of 256 entries. Anything that is no octet finds nothing. */
export const octetKinds: Uint8Array = new Uint8Array(256);

for (let code = 0; code < 256; code += 1) {
  const isVisible = code > 0x20 && code < 0x7f;
  const isAlphanumeric = /[0-9A-Za-z]/.test(String.fromCharCode(code));
  const isToken =
    isAlphanumeric || (isVisible && "!#$%&'*+-.^_`|~".includes(String.fromCharCode(code)));
  octetKinds[code] =
    (isToken ? tokenOctet : 0) |
    (code >= 0x41 && code <= 0x5a ? upperOctet : 0) |
    (isVisible || code >= 0x80 || code === 0x20 || code === 0x09 ? valueOctet : 0) |
    (isVisible ? targetOctet : 0) |
    (code === 0x5f ? underscoreOctet : 0);
}

/** Whether all of a text that is not empty is of the kind. */
export function isAllOf(text: string, kind: number): boolean {
  for (let at = 0; at < text.length; at += 1) {
    if (((octetKinds[text.charCodeAt(at)] ?? 0) & kind) === 0) return false;
  }
  return text.length > 0;
}
