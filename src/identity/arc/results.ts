/** What a sealer writes of DMARC into ARC-Authentication-Results (RFC 8617 §4.1.1, RFC 8601 §2.2). */

import { isDomain } from "#identity/dkim";

export interface SeenDmarc {
  /** In lower case. */
  readonly dmarc: string;
  /** Domain of header.from, in lower case; "" when it is not there. */
  readonly fromDomain: string;
}

/** Ours: honest fields are shorter. */
const maxLength = 16_384;

/** Undefined when there is no result of DMARC, or several. @param value untrusted field body */
export function readSeenDmarc(value: string): SeenDmarc | undefined {
  const seen = statementsOf(value.slice(0, maxLength)).flatMap((words) => {
    const result = words[0]?.toLowerCase().match(/^dmarc(?:\/1)?=([a-z]{1,20})$/)?.[1];
    return result === undefined ? [] : [{ dmarc: result, fromDomain: fromDomainOf(words) }];
  });
  return seen.length === 1 ? seen[0] : undefined;
}

const property = "header.from=";

function fromDomainOf(words: readonly string[]): string {
  const found = words.filter((word) => word.toLowerCase().startsWith(property));
  const text = found.length === 1 ? (found[0] ?? "").slice(property.length).toLowerCase() : "";
  const domain = text.slice(text.lastIndexOf("@") + 1);
  return isDomain(domain) ? domain : "";
}

/** Statements between semicolons, as words; comments are gone, and "a = b" is one word. */
function statementsOf(text: string): readonly (readonly string[])[] {
  const statements: string[][] = [[]];
  let word = "";
  const endWord = (): void => {
    if (word !== "") statements.at(-1)?.push(word);
    word = "";
  };
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at] ?? "";
    if (char === '"') {
      const end = quotedEnd(text, at);
      word += text.slice(at + 1, end).replaceAll("\\", "");
      at = end;
    } else if (char === "(") {
      at = commentEnd(text, at);
    } else if (char === ";") {
      endWord();
      statements.push([]);
    } else if (char === "=") {
      // White space may stand before it.
      if (word === "") word = statements.at(-1)?.pop() ?? "";
      word += char;
    } else if (!/\s/.test(char)) {
      word += char;
    } else if (!word.endsWith("=")) endWord();
  }
  endWord();
  return statements;
}

/** Of the quoted string that begins there: its closing quote, or the end of the text. */
function quotedEnd(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return Math.min(at, text.length);
}

/** Of the comment that begins there, with those inside it. */
function commentEnd(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === "(") depth += 1;
    else if (text[at] === ")") depth -= 1;
    if (depth === 0) return at;
  }
  return text.length;
}
