/** Keys, as most people who use any know them; none while somebody types. */

import type { Mail } from "./mail.ts";

export const keyHelp: readonly (readonly [keys: string, does: string])[] = [
  ["j", "Next message"],
  ["k", "Previous message"],
  ["o  Enter", "Open"],
  ["u", "Back to the list"],
  ["x", "Select"],
  ["c", "New message"],
  ["r", "Reply"],
  ["a", "Reply to all"],
  ["f", "Forward"],
  ["e", "Archive"],
  ["#", "Delete"],
  ["!", "Junk"],
  ["Shift+U", "Mark unread"],
  ["/", "Search"],
  ["?", "These keys"],
  ["Esc", "Close what is open"],
];

export function listenToKeys(mail: Mail): () => void {
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === "Escape") {
      if (escape(mail)) event.preventDefault();
      return;
    }
    const { compose, keysShown, signedOut, view } = mail.state;
    if (isTyping(event.target) || compose !== null || signedOut || view !== "mail") return;
    if (keysShown && event.key !== "?") return;
    const act = actOf(event.key, mail);
    if (act === undefined) return;
    if (event.key === "Enter" && isControl(event.target)) return;
    event.preventDefault();
    act();
  };
  document.addEventListener("keydown", onKey);
  return () => document.removeEventListener("keydown", onKey);
}

function actOf(key: string, mail: Mail): (() => void) | undefined {
  const { cursor, openId, selection, keysShown } = mail.state;
  const open = (): void => {
    if (openId === null && cursor !== null) mail.openEmail(cursor);
  };
  const unread = (): void => {
    const ids = mail.targets();
    mail.closeEmail();
    void mail.setKeyword(ids, "$seen", false);
  };
  const select = (): void => {
    const id = openId ?? cursor;
    if (id !== null) mail.toggle(id, !selection.has(id));
  };
  const acts: Readonly<Record<string, () => void>> = {
    j: () => mail.step(1),
    k: () => mail.step(-1),
    o: open,
    Enter: open,
    u: () => mail.closeEmail(),
    U: unread,
    x: select,
    c: () => mail.write(),
    r: () => mail.reply(false),
    a: () => mail.reply(true),
    f: () => mail.forward(),
    e: () => mail.archive(),
    "#": () => mail.remove(),
    "!": () => mail.junk(),
    "/": () => document.querySelector<HTMLInputElement>("#search")?.focus(),
    "?": () => mail.set({ keysShown: !keysShown }),
  };
  return Object.hasOwn(acts, key) ? acts[key] : undefined;
}

/** Closes the topmost thing; writing is closed by its own button, so that no sentence is lost. */
function escape(mail: Mail): boolean {
  const { keysShown, menuShown, selection, openId, compose } = mail.state;
  if (compose !== null) return false;
  if (keysShown) mail.set({ keysShown: false });
  else if (menuShown) mail.set({ menuShown: false });
  else if (document.activeElement?.id === "search") (document.activeElement as HTMLElement).blur();
  else if (selection.size > 0) mail.set({ selection: new Set() });
  else if (openId !== null) mail.closeEmail();
  else return false;
  return true;
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return target.type !== "checkbox";
  return target.isContentEditable || ["TEXTAREA", "SELECT"].includes(target.tagName);
}

const isControl = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.closest("a,button,input,select") !== null;
