/** The warning before a session ends: how long there is, and what can be done about it. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { saveDraft } from "../compose.ts";
import type { Mail } from "../mail.ts";
import { signingOut, staySignedIn } from "../session-watch.ts";
import type { Ending } from "../state.ts";
import { timeLeft, timeSpoken } from "../words.ts";
import { Dialog } from "./dialog.tsx";

export function EndingBox({
  mail,
  ending,
}: {
  readonly mail: Mail;
  readonly ending: Ending;
}): JSX.Element | null {
  const seconds = useSecondsLeft(ending.endsAtMs);
  const [dismissed, dismiss] = useState(false);
  const [said, say] = useState("");
  const spokenAt = spokenMoment(seconds);
  useEffect(() => say(`You will be signed out in ${timeSpoken(seconds)}.`), [spokenAt]);
  if (dismissed && ending.forGood) return null;
  const stay = (): void => {
    if (ending.forGood) dismiss(true);
    else void staySignedIn(mail);
  };
  return (
    <Dialog name="Signing out soon" close={stay}>
      <>
        <h2>
          You will be signed out in{" "}
          <span class="countdown" aria-hidden="true">
            {timeLeft(seconds)}
          </span>
          <span class="spoken">{timeSpoken(seconds)}</span>
        </h2>
        <p class="spoken" role="timer" aria-live="assertive">
          {said}
        </p>
        {ending.forGood ? (
          <ForGood mail={mail} stay={stay} />
        ) : (
          <>
            <p>Nothing has happened for a while. Would you like to go on?</p>
            <div class="dialog-foot">
              <button type="button" class="primary" autofocus onClick={stay}>
                Stay signed in
              </button>
              <SignOutButton />
            </div>
          </>
        )}
      </>
    </Dialog>
  );
}

/** The day is over, whatever anybody does. */
function ForGood({ mail, stay }: { readonly mail: Mail; readonly stay: () => void }): JSX.Element {
  const { compose } = mail.state;
  return (
    <>
      <p>
        This session has lasted as long as it may, and cannot be prolonged.
        {compose === null ? " Sign in again to go on." : " What you are writing can be saved."}
      </p>
      <div class="dialog-foot">
        {compose !== null && (
          <button
            type="button"
            class="primary"
            autofocus
            disabled={!compose.changed}
            onClick={() => void saveDraft(mail)}
          >
            {compose.changed ? "Save draft" : "Draft saved"}
          </button>
        )}
        <SignOutButton />
        <button type="button" onClick={stay}>
          Go on until then
        </button>
      </div>
    </>
  );
}

function SignOutButton(): JSX.Element {
  return (
    <form method="post" action="/logout" onSubmit={signingOut}>
      <button type="submit">Sign out</button>
    </form>
  );
}

function useSecondsLeft(endsAtMs: number): number {
  const left = (): number => Math.max(0, Math.ceil((endsAtMs - Date.now()) / 1000));
  const [seconds, set] = useState(left());
  const latest = useRef(left);
  latest.current = left;
  useEffect(() => {
    const timer = window.setInterval(() => set(latest.current()), 250);
    return () => window.clearInterval(timer);
  }, []);
  return Math.min(seconds, left());
}

/** Said every quarter of a minute, and each of the last twenty seconds. */
function spokenMoment(seconds: number): number {
  return seconds <= 20 ? seconds : Math.ceil(seconds / 15) * 15;
}
