/** Drawings of states: the colour of a token, always with a shape of its own. */

import type { JSX } from "preact";

export type Tone = "verified" | "info" | "unverified" | "caution" | "danger";

const drawings = {
  check: "M8 1.500 14 8l-6 6.500L2 8zM5.500 8l2 2 3.300-3.600",
  arrow: "M2 8h11M9 4l4 4-4 4",
  building: "M3 14V3h7v11M10 7h3v7M1.500 14h13M5.500 5.500h2M5.500 8h2M5.500 10.500h2",
  circle: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12z",
  hourglass: "M4 2h8M4 14h8M5 2v2.500L11 11.500V14M11 2v2.500L5 11.500V14",
  triangle: "M8 2 15 14H1zM8 6.500v3.500M8 12v.3",
  octagon: "M5.200 1.500h5.600l3.700 3.700v5.600l-3.700 3.700H5.200l-3.700-3.700V5.200z",
  note: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 7.500v3.500M8 5v.3",
} as const;
export type Drawing = keyof typeof drawings;

/** For eyes only; the words stand beside it. */
export function Shape({ drawing }: { readonly drawing: Drawing }): JSX.Element {
  const filled = drawing === "octagon";
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true" class={filled ? "shape filled" : "shape"}>
      <path
        d={drawings[drawing]}
        stroke-dasharray={drawing === "circle" ? "2.2 2.200" : undefined}
      />
      {filled && <path class="inner" d="M8 4.500v4.200M8 11v.4" />}
    </svg>
  );
}
