/** The domain owner's words on a failure, made safe to show (RFC 7208 §6.2). */

import type { DnsAnswer } from "#base/dns";
import { expandMacros, type MacroValues, parseMacroString, usesLetter } from "./macro.ts";

/** Ours: an SMTP reply has room for no more (RFC 5321 §4.5.3.1.5), and somebody must read it. */
const maxLength = 400;

/** Undefined when there is not exactly one well-formed text. */
export async function explain(
  answer: DnsAnswer<"TXT">,
  valuesOf: (needsName: boolean) => Promise<MacroValues>,
): Promise<string | undefined> {
  if (answer.kind !== "found") return undefined;
  const [record, second] = answer.records;
  if (record === undefined || second !== undefined) return undefined;
  const parsed = parseMacroString(record.text, "explanation");
  if (!parsed.ok) return undefined;
  const values = await valuesOf(usesLetter(parsed.value, "p"));
  const text = expandMacros(parsed.value, values, maxLength);
  // Expansion brings in what the client said: only printable ASCII leaves here (§11.5.3).
  return text.replace(/[^ -~]/g, "?").slice(0, maxLength);
}
