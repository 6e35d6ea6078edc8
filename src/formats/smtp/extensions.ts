/** What a server offers in its EHLO reply (RFC 5321 §4.1.1.1). */

import type { Reply } from "#model/reply";

/** Keyword in upper case, to its parameters as written. */
export type Extensions = ReadonlyMap<string, readonly string[]>;

const keyword = /^[A-Za-z0-9][A-Za-z0-9-]*$/;

/** Unreadable lines offer nothing; the first line is the greeting and is passed over. */
export function parseExtensions(reply: Reply): Extensions {
  const offered = new Map<string, readonly string[]>();
  const lines = typeof reply.text === "string" ? [] : reply.text.slice(1);
  for (const line of lines) {
    // "AUTH=LOGIN" is how servers older than RFC 4954 wrote it.
    const words = line
      .trim()
      .replace(/^AUTH=/i, "AUTH ")
      .split(/[ \t]+/);
    const name = (words[0] ?? "").toUpperCase();
    if (!keyword.test(name)) continue;
    offered.set(name, [...(offered.get(name) ?? []), ...words.slice(1)]);
  }
  return offered;
}

/** The largest message the server takes (RFC 1870 §3), or undefined where it names none. */
export function sizeLimit(extensions: Extensions): number | undefined {
  const value = Number(extensions.get("SIZE")?.[0] ?? 0);
  return Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

/** What a server takes at once (RFC 9422 §4); absent: it does not say. */
export interface ServerLimits {
  /** MAILMAX: messages over one connection. */
  readonly messages?: number;
  /** RCPTMAX: recipients of one message. */
  readonly recipients?: number;
}

export function serverLimits(extensions: Extensions): ServerLimits {
  const limits = new Map<string, number>();
  for (const word of extensions.get("LIMITS") ?? []) {
    const found = /^(MAILMAX|RCPTMAX)=([1-9][0-9]{0,5})$/i.exec(word);
    if (found !== null) limits.set((found[1] ?? "").toUpperCase(), Number(found[2]));
  }
  const [messages, recipients] = [limits.get("MAILMAX"), limits.get("RCPTMAX")];
  return {
    ...(messages !== undefined && { messages }),
    ...(recipients !== undefined && { recipients }),
  };
}
