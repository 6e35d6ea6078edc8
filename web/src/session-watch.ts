/** Watches for the end of the session. The server decides; this only asks, warns in time and saves. */

import { saveDraft } from "./compose.ts";
import {
  extendSession,
  fetchSessionTimes,
  leave,
  leaving,
  type SessionTimes,
  SignedOut,
} from "./jmap.ts";
import type { Mail } from "./mail.ts";

/** Long enough to come back to the keyboard (WCAG 2.2.1 asks for at least 20 seconds). */
const warningMs = 120_000;
/** While the warning is shown: another tab may have prolonged the session. */
const lookAgainMs = 10_000;
const retryMs = 30_000;
/** So short before the end a draft is saved by itself. */
const mostSaveMs = 8_000;

/** Tabs tell each other that something changed; each asks the server what. */
const channelName = "postern-session";

/** @param inMs when there is something to see */
function tellTabs(inMs: number): void {
  const channel = new BroadcastChannel(channelName);
  channel.postMessage(inMs);
  channel.close();
}

/** Called when the form that signs out is sent: the other tabs follow. */
export function signingOut(): void {
  leave();
  tellTabs(2000);
}

export function watchSession(mail: Mail): () => void {
  const channel = new BroadcastChannel(channelName);
  let timer = 0;
  let stopped = false;
  const lookIn = (ms: number): void => {
    window.clearTimeout(timer);
    if (!stopped) timer = window.setTimeout(() => void look(), ms);
  };
  const look = async (): Promise<void> => {
    try {
      take(await fetchSessionTimes());
    } catch (error) {
      if (error instanceof SignedOut) mail.failed(error);
      else lookIn(retryMs);
    }
  };
  const take = (times: SessionTimes): void => {
    const seen = endingOf(times);
    const leftMs = seen.endsAtMs - Date.now();
    const before = Math.min(warningMs, seen.lengthMs / 2);
    if (leftMs > before) {
      if (mail.state.ending !== null) mail.set({ ending: null });
      return lookIn(leftMs - before);
    }
    mail.set({ ending: { endsAtMs: seen.endsAtMs, forGood: seen.forGood } });
    const saveMs = Math.min(mostSaveMs, before / 2);
    if (leftMs <= saveMs) saveNow(mail);
    const next = leftMs > saveMs ? Math.min(lookAgainMs, leftMs - saveMs) : leftMs;
    lookIn(Math.max(next, 0) + 250);
  };
  const onShown = (): void => {
    if (!document.hidden) void look(); // timers sleep with the computer
  };
  channel.addEventListener("message", ({ data }: MessageEvent<number>) => lookIn(data));
  document.addEventListener("visibilitychange", onShown);
  const stop = (): void => {
    stopped = true;
    window.clearTimeout(timer);
    channel.close();
    document.removeEventListener("visibilitychange", onShown);
    leaving.removeEventListener("abort", stop);
  };
  leaving.addEventListener("abort", stop);
  void look();
  return stop;
}

/** The person wants to stay. */
export async function staySignedIn(mail: Mail): Promise<void> {
  await mail.act(async () => {
    await extendSession();
    mail.set({ ending: null });
    tellTabs(0);
  });
}

/** Nobody may be there any more, so it does not count as use. */
function saveNow(mail: Mail): void {
  if (mail.state.compose?.changed) void saveDraft(mail, true);
}

/** How long this tab has seen the session last at most, to warn in proportion where it is short. */
let longestMs = 0;

function endingOf({ idleEndsInSeconds, absoluteEndsInSeconds }: SessionTimes) {
  const forGood = absoluteEndsInSeconds <= idleEndsInSeconds;
  const leftMs = Math.min(idleEndsInSeconds, absoluteEndsInSeconds) * 1000;
  longestMs = Math.max(longestMs, leftMs);
  return { endsAtMs: Date.now() + leftMs, forGood, lengthMs: longestMs };
}
