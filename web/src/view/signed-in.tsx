/** Where somebody is signed in, and the ways to end that. */

import type { JSX } from "preact";
import { endAllSessions, endOtherSessions, endSession, type WebSession } from "../account.ts";
import { signingOut } from "../session-watch.ts";
import { Part, type PartProps } from "./security-parts.tsx";
import { momentText } from "./security-words.tsx";

export function SignedInList({ desk }: PartProps): JSX.Element {
  const { sessions } = desk;
  const others = sessions.filter((one) => !one.isOwn);
  const end = (one: WebSession): void => void desk.act(async () => void (await endSession(one.id)));
  const endOthers = (): void => void desk.act(async () => void (await endOtherSessions()));
  const endAll = (): void => {
    if (!window.confirm("Sign out everywhere, also here?")) return;
    void desk.act(async () => {
      await endAllSessions();
      signOutHere();
      return new Promise(() => undefined); // the page is about to go
    });
  };
  return (
    <Part name="Where you are signed in" text="What you do not know, sign out.">
      <>
        <ul class="factors">
          {sessions.map((one) => (
            <li key={one.id}>
              <span class="grow">
                <strong>
                  {one.clientAddress}
                  {one.isOwn && " (this one)"}
                </strong>
                <span class="soft">
                  Since {momentText(one.issuedAtMs)}, last used {momentText(one.usedAtMs)}
                  {one.publicComputer ? ", on a public computer." : "."}
                </span>
              </span>
              {!one.isOwn && (
                <button
                  type="button"
                  aria-label={`Sign out ${one.clientAddress}`}
                  onClick={() => end(one)}
                >
                  Sign out
                </button>
              )}
            </li>
          ))}
        </ul>
        <div class="dialog-foot">
          <button type="button" disabled={others.length === 0} onClick={endOthers}>
            Sign out everywhere else
          </button>
          <button type="button" onClick={endAll}>
            Sign out everywhere
          </button>
        </div>
      </>
    </Part>
  );
}

/** As the button does it: what this browser kept goes, too. */
function signOutHere(): void {
  const form = document.createElement("form");
  form.method = "post";
  form.action = "/logout";
  document.body.append(form);
  signingOut();
  form.submit();
}
