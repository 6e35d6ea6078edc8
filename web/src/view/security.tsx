/** Settings of how somebody signs in: second factors, passwords, and where they are signed in. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Mail } from "../mail.ts";
import { signingOut } from "../session-watch.ts";
import { Authenticator } from "./authenticator.tsx";
import { type Desk, useDesk } from "./desk.ts";
import { Dialog } from "./dialog.tsx";
import { IconButton } from "./icons.tsx";
import { AppPasswords, Passkeys, Password, RecoveryCodes } from "./security-parts.tsx";
import { Codes, Fault } from "./security-words.tsx";
import { SignedInList } from "./signed-in.tsx";

export function Security({ mail }: { readonly mail: Mail }): JSX.Element {
  const desk = useDesk(mail);
  const enrolling = mail.state.ready === "enrolling";
  return (
    <main class="security" aria-labelledby="security-heading">
      <Head mail={mail} enrolling={enrolling} />
      <div class="security-parts">
        {enrolling && (
          <p class="panel-note">
            Your organisation asks for a second factor. Set one up here, then sign in again: a
            passkey, or an authenticator app on your telephone.
          </p>
        )}
        <Fault text={desk.fault} />
        {desk.factors === null ? (
          <p class="skeleton long" />
        ) : (
          <>
            <Passkeys desk={desk} />
            <Authenticator desk={desk} />
            {!enrolling && <RecoveryCodes desk={desk} />}
            {!enrolling && <AppPasswords desk={desk} />}
            {!enrolling && <SignedInList desk={desk} />}
            {!enrolling && <Password desk={desk} />}
          </>
        )}
      </div>
      {desk.waiting !== null && <Confirm desk={desk} />}
      {desk.codes !== null && <Codes codes={desk.codes} close={() => desk.hideCodes()} />}
    </main>
  );
}

function Head(props: { readonly mail: Mail; readonly enrolling: boolean }): JSX.Element {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <header class="pane-head">
      {!props.enrolling && (
        <IconButton
          icon="back"
          name="Back to mail"
          press={() => props.mail.set({ view: "mail" })}
        />
      )}
      <h1 id="security-heading" ref={heading} tabIndex={-1}>
        Security
      </h1>
      <span class="grow" />
      <form method="post" action="/logout" onSubmit={signingOut}>
        <button type="submit">Sign out</button>
      </form>
    </header>
  );
}

/** The password again, before anything changes how somebody signs in. */
function Confirm({ desk }: { readonly desk: Desk }): JSX.Element {
  const [fault, setFault] = useState<string | null>(null);
  const field = useRef<HTMLInputElement>(null);
  const send = async (event: Event): Promise<void> => {
    event.preventDefault();
    const wrong = await desk.confirm(field.current?.value ?? "");
    if (wrong === null) return;
    setFault(wrong);
    field.current?.select();
  };
  return (
    <Dialog name="Your password again" close={() => desk.cancel()}>
      <form class="stacked" onSubmit={(event) => void send(event)}>
        <h2>Your password again</h2>
        <p>You signed in a while ago. Please give your password before you change this.</p>
        <label for="confirm-password">Password</label>
        <input
          ref={field}
          id="confirm-password"
          type="password"
          autocomplete="current-password"
          required
          autofocus
        />
        <Fault text={fault} />
        <div class="dialog-foot">
          <button type="submit" class="primary">
            Continue
          </button>
          <button type="button" onClick={() => desk.cancel()}>
            Cancel
          </button>
        </div>
      </form>
    </Dialog>
  );
}
