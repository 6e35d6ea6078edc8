/** Whether a notice to the reverse path reaches who sent the message, and no stranger (RFC 3834 §2). */

import { splitPath } from "#formats/address";
import type { Verdict } from "#model/verdict";

/**
 * By SPF for the very domain; by a signature or DMARC for the same or one above it. No login of an edge
 * counts: it is bound to sender domains out there, so that whoever owns the edge could claim a
 * partner's for any reverse path. Logins at doors of the hub are bound here, and need none of this.
 *
 * @param reversePath not the null one
 */
export function isSenderProven(reversePath: string, verdicts: readonly Verdict[]): boolean {
  const domain = splitPath(reversePath).domain.toLowerCase();
  const speaksFor = (proven: string): boolean => {
    const known = proven.toLowerCase();
    return known !== "" && (domain === known || domain.endsWith(`.${known}`));
  };
  return verdicts.some((one) => {
    if (one.method === "spf") {
      return one.result === "pass" && one.identity === "mailfrom" && one.domain === domain;
    }
    if (one.method === "dkim") return one.result === "pass" && speaksFor(one.domain);
    if (one.method !== "dmarc" || one.result !== "pass") return false;
    return speaksFor(one.organizationalDomain ?? one.fromDomain);
  });
}
