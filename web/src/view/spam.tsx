/** The spam confidence level of a message: in the list where it is worth a look, always in Junk. */

import type { JSX } from "preact";

/** From here on it is more likely unwanted than not; 4 is neutral. */
export const doubtfulLevel = 5;

export function SpamLevel({ level }: { readonly level: number }): JSX.Element {
  const spoken = `Spam level ${level} of 9`;
  return (
    <span class={`spam-level ${level < doubtfulLevel ? "unverified" : "caution"}`} title={spoken}>
      <span aria-hidden="true">Spam {level}</span>
      <span class="spoken">{spoken}.</span>
    </span>
  );
}
