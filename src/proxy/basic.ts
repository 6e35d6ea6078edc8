/** Basic credentials (RFC 7617 §2), for programs that know no form. */

export interface BasicCredentials {
  readonly name: string;
  readonly password: string;
}

const longestField = 2048;
const scheme = /^basic +([A-Za-z0-9+/]+={0,2})$/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: §2 forbids them
const control = /[\x00-\x1f\x7f]/;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @returns undefined unless the field holds a name and a password, in UTF-8 (§2.1) */
export function readBasic(authorization: string | undefined): BasicCredentials | undefined {
  if (authorization === undefined || authorization.length > longestField) return undefined;
  const encoded = scheme.exec(authorization)?.[1];
  if (encoded === undefined) return undefined;
  let text: string;
  try {
    text = utf8.decode(Buffer.from(encoded, "base64"));
  } catch {
    return undefined;
  }
  const colon = text.indexOf(":"); // the password may hold more of them
  if (colon < 1 || control.test(text)) return undefined;
  return { name: text.slice(0, colon), password: text.slice(colon + 1) };
}
