/** Passkeys, recovery codes, passwords of programs, and the password itself. */

import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import {
  addPasskey,
  changePassword,
  type Factor,
  makeAppPassword,
  makeRecoveryCodes,
  removeFactor,
} from "../account.ts";
import { countOf } from "../words.ts";
import type { Desk } from "./desk.ts";
import { Dialog } from "./dialog.tsx";
import { historyText } from "./security-words.tsx";

export interface PartProps {
  readonly desk: Desk;
}

export function Part(props: {
  readonly name: string;
  readonly text: string;
  readonly children: JSX.Element;
}): JSX.Element {
  const id = `part-${props.name.toLowerCase().replaceAll(" ", "-")}`;
  return (
    <section aria-labelledby={id}>
      <h2 id={id}>{props.name}</h2>
      <p class="soft">{props.text}</p>
      {props.children}
    </section>
  );
}

export function FactorList({
  desk,
  kind,
}: PartProps & { readonly kind: Factor["kind"] }): JSX.Element | null {
  const own = (desk.factors ?? []).filter((one) => one.kind === kind);
  if (own.length === 0) return null;
  const remove = (one: Factor): void => {
    const what =
      kind === "app-password"
        ? "The program that has it is signed out."
        : "It will no longer sign you in.";
    if (!window.confirm(`Remove “${one.name}”? ${what}`)) return;
    void desk.act(async () => void (await removeFactor(one.id)));
  };
  return (
    <ul class="factors">
      {own.map((one) => (
        <li key={one.id}>
          <span class="grow">
            <strong>{one.name}</strong>
            <span class="soft">
              {historyText(one.addedAtMs, one.usedAtMs)}
              {one.host !== undefined && one.host !== location.hostname && ` Works at ${one.host}.`}
            </span>
          </span>
          <button type="button" aria-label={`Remove ${one.name}`} onClick={() => remove(one)}>
            Remove
          </button>
        </li>
      ))}
    </ul>
  );
}

/** One short field and a button. */
export function NameForm(props: {
  readonly label: string;
  readonly button: string;
  readonly proposal: string;
  readonly send: (name: string) => void;
}): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  const id = `name-${props.button.toLowerCase().replaceAll(" ", "-")}`;
  return (
    <form
      class="in-line"
      onSubmit={(event) => {
        event.preventDefault();
        props.send(field.current?.value.trim() || props.proposal);
        event.currentTarget.reset();
      }}
    >
      <label for={id}>{props.label}</label>
      <input
        ref={field}
        id={id}
        type="text"
        maxLength={64}
        placeholder={props.proposal}
        autocomplete="off"
      />
      <button type="submit">{props.button}</button>
    </form>
  );
}

export function Passkeys({ desk }: PartProps): JSX.Element {
  const can = "PublicKeyCredential" in window;
  const add = (name: string): void =>
    void desk.act(async () => desk.enrolled(await addPasskey(name)));
  return (
    <Part
      name="Passkeys"
      text="Sign in with this device, a telephone or a security key. A passkey works at this address only, so no forged page can use it."
    >
      <>
        <FactorList desk={desk} kind="passkey" />
        {can ? (
          <NameForm label="Name" button="Add a passkey" proposal="My passkey" send={add} />
        ) : (
          <p>This browser knows no passkeys.</p>
        )}
      </>
    </Part>
  );
}

export function RecoveryCodes({ desk }: PartProps): JSX.Element | null {
  const factors = desk.factors ?? [];
  const own = factors.find((one) => one.kind === "recovery-codes");
  const hasSecond = factors.some(({ kind }) => kind === "totp" || kind === "passkey");
  if (!hasSecond) return null;
  const make = (): void => {
    const replaced = own !== undefined && (own.left ?? 0) > 0;
    if (replaced && !window.confirm("Make new codes? Those you have will no longer work.")) return;
    void desk.act(async () => desk.showCodes(await makeRecoveryCodes()));
  };
  return (
    <Part
      name="Recovery codes"
      text="For the day when no other second factor is at hand. Each works once."
    >
      <p class="in-line">
        <span>{countOf(own?.left ?? 0, "code is", "codes are")} left.</span>
        <button type="button" onClick={make}>
          Make new codes
        </button>
      </p>
    </Part>
  );
}

export function AppPasswords({ desk }: PartProps): JSX.Element {
  const [made, setMade] = useState<string | null>(null);
  const make = (name: string): void =>
    void desk.act(async () => setMade(await makeAppPassword(name)));
  return (
    <Part
      name="App passwords"
      text="For mail programs that know no second factor. Each program gets its own, and one can be removed without the others."
    >
      <>
        <FactorList desk={desk} kind="app-password" />
        <NameForm label="Program" button="Make a password" proposal="Mail program" send={make} />
        {made !== null && (
          <Dialog name="App password" close={() => setMade(null)}>
            <>
              <h2>App password</h2>
              <p>Type this into the program, with your address. It is shown only now.</p>
              <p class="codes">
                <code>{made}</code>
              </p>
              <div class="dialog-foot">
                <button type="button" onClick={() => void navigator.clipboard.writeText(made)}>
                  Copy
                </button>
                <button type="button" class="primary" onClick={() => setMade(null)}>
                  Done
                </button>
              </div>
            </>
          </Dialog>
        )}
      </>
    </Part>
  );
}

export function Password({ desk }: PartProps): JSX.Element {
  const form = useRef<HTMLFormElement>(null);
  const [said, say] = useState("");
  const valueOf = (name: string): string =>
    form.current?.querySelector<HTMLInputElement>(`[name="${name}"]`)?.value ?? "";
  const send = (event: Event): void => {
    event.preventDefault();
    say("");
    if (valueOf("new") !== valueOf("again")) return say("The two new passwords differ.");
    const weak = "The new password is too short, or too easy to guess. Take a longer one.";
    void desk.act(
      async () => {
        await changePassword(valueOf("old"), valueOf("new"));
        form.current?.reset();
        say("Your password is changed. Everywhere else you are signed out.");
      },
      (why) => (why === "weak-password" ? weak : undefined),
    );
  };
  return (
    <Part name="Password" text="A long sentence of your own is better than a short riddle.">
      <form ref={form} class="stacked" onSubmit={send}>
        <Field name="old" label="Password now" complete="current-password" />
        <Field name="new" label="New password" complete="new-password" />
        <Field name="again" label="New password again" complete="new-password" />
        <p role="status">{said}</p>
        <button type="submit">Change password</button>
      </form>
    </Part>
  );
}

function Field(props: {
  readonly name: string;
  readonly label: string;
  readonly complete: "current-password" | "new-password";
}): JSX.Element {
  const id = `password-${props.name}`;
  return (
    <>
      <label for={id}>{props.label}</label>
      <input
        id={id}
        name={props.name}
        type="password"
        autocomplete={props.complete}
        maxLength={1024}
        required
      />
    </>
  );
}
