/** Drawings of 16 units, in the colour of the text around them. */

import type { JSX } from "preact";

const paths = {
  inbox: "M2 9.5 4 3h8l2 6.5V13H2zM2 9.5h3.5l1 1.5h3l1-1.5H14",
  drafts: "m3 13 .6-3L11 2.6l2.4 2.4L6 12.4zM9.6 4 12 6.4",
  sent: "m2 3 12 5-12 5 2-5zM4 8h4",
  archive: "M2 3h12v3H2zM3 6v7h10V6M6.5 9h3",
  junk: "M8 1.8 14.2 8 8 14.2 1.8 8zM8 5v3.6M8 10.6v.4",
  trash: "M3 4.5h10M6.5 4V2.5h3V4M4.5 4.5 5 13.5h6l.5-9M7 7v4M9 7v4",
  folder: "M2 4h4l1.5 1.5H14V13H2z",
  menu: "M2 4h12M2 8h12M2 12h12",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM11 11l3.5 3.5",
  back: "M9.5 3 4.5 8l5 5M4.5 8H14",
  reply: "M6.5 3.5 2 8l4.5 4.5M2 8h7a5 5 0 0 1 5 5",
  replyAll: "M5 3.5.8 8 5 12.5M9 3.5 4.8 8 9 12.5M5 8h5.500a4 4 0 0 1 4 4.500",
  forward: "M9.500 3.500 14 8l-4.500 4.500M14 8H7a5 5 0 0 0-5 5",
  read: "M2 6.5 8 2l6 4.5V14H2zM2 6.5 8 11l6-4.5",
  unread: "M2 3.500h12v9H2zM2 4l6 5 6-5",
  move: "M2 4h4l1.500 1.500H14V13H2zM6 9h4M8.500 7.300 10.200 9l-1.700 1.700",
  attach:
    "m13 7-5.500 5.500a3 3 0 0 1-4.300-4.300L9 2.500a2 2 0 0 1 2.800 2.800L6.300 10.800a1 1 0 0 1-1.400-1.400L9.800 4.500",
  close: "m3.500 3.500 9 9M12.500 3.500l-9 9",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13.500 9.500A6 6 0 1 1 6.500 2.500a5 5 0 0 0 7 7z",
  auto: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 2v12M8 5l4.800-.3M8 8h6M8 11l4.800.3",
  link: "M6.500 9.500 9.500 6.500M7 4.500l2-2a3 3 0 0 1 4.500 4.500l-2 2M9 11.500l-2 2A3 3 0 0 1 2.500 9l2-2",
  keys: "M1.500 4h13v8h-13zM4 6.500h.5M7 6.500h.5M10 6.500h.5M4.500 9.500h7",
  signOut: "M9.500 2H3v12h6.500M6.500 8H14M11.500 5 14 8l-2.500 3",
  shield:
    "M8 1.500 13.500 3.500v4c0 3.500-2.300 5.800-5.500 7-3.200-1.200-5.500-3.500-5.500-7v-4zM5.500 8l2 2 3.300-3.800",
  key: "M10.500 9a3.500 3.500 0 1 0-3.300-2.300L2 12v2h2.500v-1.500H6V11l1.300-1.300A3.500 3.500 0 0 0 10.500 9zM11.500 4.500v.1",
  write: "M13 9v4.500H2.500V3H7M6 10l.5-2.300L12.300 2 14 3.700 8.300 9.500z",
  seen: "M1 8c2-3.300 4.300-5 7-5s5 1.700 7 5c-2 3.300-4.300 5-7 5s-5-1.700-7-5zM8 10.200a2.200 2.200 0 1 0 0-4.400 2.200 2.200 0 0 0 0 4.400z",
  picture: "M2 3h12v10H2zM2 11l3.500-3.500 3 3 2-2L14 12M10.500 5.500h.5",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { readonly name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}

interface ButtonProps {
  readonly icon: IconName;
  readonly name: string;
  readonly press: () => void;
  readonly keys?: string;
  readonly pressed?: boolean;
  readonly disabled?: boolean;
}

/** A button with a drawing only; its name is spoken and shown on hover. */
export function IconButton({
  icon,
  name,
  press,
  keys,
  pressed,
  disabled,
}: ButtonProps): JSX.Element {
  const title = keys === undefined ? name : `${name} (${keys})`;
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={name}
      title={title}
      aria-pressed={pressed}
      disabled={disabled}
      onClick={press}
    >
      <Icon name={icon} />
    </button>
  );
}
