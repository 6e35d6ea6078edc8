/** Small parts of the security view: faults, times, codes that are shown once. */

import type { JSX } from "preact";
import { Dialog } from "./dialog.tsx";

export function Fault({ text }: { readonly text: string | null }): JSX.Element {
  return (
    <p class="fault" role="alert">
      {text}
    </p>
  );
}

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function momentText(ms: number): string {
  return moment.format(ms);
}

/** When something was added and last used. */
export function historyText(addedAtMs: number, usedAtMs: number | undefined): string {
  const used = usedAtMs === undefined ? "not used yet" : `last used ${momentText(usedAtMs)}`;
  return `Added ${momentText(addedAtMs)}, ${used}.`;
}

/** Fours are easier to read out and to type. */
export function inGroups(text: string): string {
  return text.replace(/.{4}(?=.)/g, "$& ");
}

export function Codes({
  codes,
  close,
}: {
  readonly codes: readonly string[];
  readonly close: () => void;
}): JSX.Element {
  return (
    <Dialog name="Recovery codes" close={close}>
      <>
        <h2>Recovery codes</h2>
        <p>
          Each of these signs you in once, in place of a second factor you have lost. They are shown
          only now: print them, or write them down and keep them away from this computer.
        </p>
        <ul class="codes">
          {codes.map((code) => (
            <li key={code}>
              <code>{code}</code>
            </li>
          ))}
        </ul>
        <div class="dialog-foot">
          <button
            type="button"
            onClick={() => void navigator.clipboard.writeText(codes.join("\n"))}
          >
            Copy
          </button>
          <button type="button" onClick={() => window.print()}>
            Print
          </button>
          <button type="button" class="primary" onClick={close}>
            I have kept them
          </button>
        </div>
      </>
    </Dialog>
  );
}
