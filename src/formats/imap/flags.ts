/** Flags in commands (RFC 9051 §9 flag, store-att-flags). */

import type { Scanner } from "./scanner.ts";
import { canonicalFlag } from "./strings.ts";

/** Our limits: keywords are kept with every message that bears them. */
const maxFlags = 64;
const maxFlagLength = 128;

function readFlag(scanner: Scanner): string {
  const flag = scanner.skip("\\") ? canonicalFlag(`\\${scanner.atom()}`) : scanner.atom();
  if (flag === undefined) scanner.fail("That flag cannot be set");
  else if (flag.length > maxFlagLength) scanner.fail("Flag too long");
  return flag ?? "";
}

/** With or without parentheses (RFC 9051 §9 store-att-flags). */
export function readFlags(scanner: Scanner): string[] {
  const flags: string[] = [];
  if (scanner.peek() === "(") flags.push(...scanner.list(() => readFlag(scanner)));
  else {
    do flags.push(readFlag(scanner));
    while (scanner.fault === undefined && scanner.skip(" "));
  }
  if (flags.length > maxFlags) scanner.fail("Too many flags");
  return flags;
}
