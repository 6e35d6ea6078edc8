/** Bodies of forms (WHATWG URL §5.1): few short fields, each once. */

import { accept, type Result, refuse } from "#base/result";

export type FormFault = "bad-form" | "repeated-field" | "too-many-fields";

export function parseForm(body: string): Result<ReadonlyMap<string, string>, FormFault> {
  const fields = new Map<string, string>();
  const pairs = body.split("&");
  if (pairs.length > 16) return refuse("too-many-fields");
  for (const pair of pairs) {
    const [name, value] = pair.split("=", 2);
    try {
      const key = decodeURIComponent((name ?? "").replaceAll("+", " "));
      const text = decodeURIComponent((value ?? "").replaceAll("+", " "));
      if (fields.has(key)) return refuse("repeated-field");
      fields.set(key, text);
    } catch {
      return refuse("bad-form");
    }
  }
  return accept(fields);
}
