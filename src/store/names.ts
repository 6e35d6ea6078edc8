/** Names of mailboxes (RFC 9051 §5.1): Unicode, "/" between levels, INBOX in any case. */

const maxNameBytes = 1000;
const maxLevels = 20;
// "%" and "*" are wildcards of LIST; a name with them could not be asked for.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const refused = /[\x00-\x1f\x7f-\x9f\u2028\u2029%*\ufffd]/;

/** The name as it is kept, or undefined when it is none. */
export function parseMailboxName(text: string): string | undefined {
  const name = text.normalize("NFC");
  if (name === "" || Buffer.byteLength(name) > maxNameBytes || !name.isWellFormed()) {
    return undefined;
  }
  if (refused.test(name)) return undefined;
  const levels = name.split("/");
  if (levels.length > maxLevels || levels.some((level) => level.trim() !== level || level === "")) {
    return undefined;
  }
  // Only ASCII letters: "\u0131nbox" is another name (RFC 9051 §5.1).
  if (/^inbox$/i.test(levels[0] ?? "")) levels[0] = "INBOX";
  return levels.join("/");
}

/** Names of the levels above, the highest first. */
export function parentsOf(name: string): string[] {
  const levels = name.split("/");
  return levels.slice(1).map((_, index) => levels.slice(0, index + 1).join("/"));
}

export function isBelow(name: string, parent: string): boolean {
  return name.startsWith(`${parent}/`);
}
