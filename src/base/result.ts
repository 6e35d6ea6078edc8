/** Outcomes of reading what others wrote: a value, or a named fault with its place. */

export type Result<Value, Fault extends string> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly fault: Fault; readonly at: number };

export function accept<Value>(value: Value): { readonly ok: true; readonly value: Value } {
  return { ok: true, value };
}

/** @param at offset of the offence in the input, in the input's own units */
export function refuse<Fault extends string>(
  fault: Fault,
  at = 0,
): { readonly ok: false; readonly fault: Fault; readonly at: number } {
  return { ok: false, fault, at };
}
