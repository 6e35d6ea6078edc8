/** Hears of changes: server-sent events, and asking every half minute where they do not arrive. */

import { leaving } from "./jmap.ts";
import type { Mail } from "./mail.ts";

const pollMs = 30_000;
const settleMs = 200;

export function stayLive(mail: Mail): () => void {
  let source: EventSource | undefined;
  let soon = 0;
  const refreshSoon = (): void => {
    window.clearTimeout(soon);
    soon = window.setTimeout(() => void mail.refresh(), settleMs);
  };
  const listen = (): void => {
    source?.close();
    source = new EventSource("/jmap/events?types=*&closeafter=no&ping=30");
    source.addEventListener("state", refreshSoon);
    source.addEventListener("open", () => {
      mail.set({ online: true });
      // What changed before this connection was there, or between two, is told by no event.
      refreshSoon();
    });
  };
  listen();
  const poll = window.setInterval(() => {
    if (document.hidden || source?.readyState === EventSource.OPEN) return;
    void mail.refresh();
    if (source?.readyState === EventSource.CLOSED && !mail.state.signedOut) listen();
  }, pollMs);
  const back = (): void => {
    if (!document.hidden && source?.readyState !== EventSource.OPEN) refreshSoon();
  };
  document.addEventListener("visibilitychange", back);
  const stop = (): void => {
    source?.close();
    window.clearInterval(poll);
    window.clearTimeout(soon);
    document.removeEventListener("visibilitychange", back);
    leaving.removeEventListener("abort", stop);
  };
  leaving.addEventListener("abort", stop);
  return stop;
}
