/** Setting up an authenticator app: a QR code, the same as text, and the first code to prove it. */

import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { beginTotp, finishTotp } from "../account.ts";
import { qrCode } from "../qr.ts";
import { FactorList, NameForm, Part, type PartProps } from "./security-parts.tsx";
import { inGroups } from "./security-words.tsx";

interface Begun {
  readonly name: string;
  readonly secret: string;
  readonly uri: string;
}

export function Authenticator({ desk }: PartProps): JSX.Element {
  const [begun, begin] = useState<Begun | null>(null);
  const field = useRef<HTMLInputElement>(null);
  const start = (name: string): void =>
    void desk.act(async () => begin({ name, ...(await beginTotp()) }));
  const finish = (event: Event): void => {
    event.preventDefault();
    if (begun === null) return;
    const code = (field.current?.value ?? "").replaceAll(" ", "");
    void desk.act(async () => {
      desk.enrolled(await finishTotp(begun.name, code));
      begin(null);
    });
  };
  return (
    <Part
      name="Authenticator app"
      text="An app on your telephone shows a new code every half minute, which you type in after your password."
    >
      <>
        <FactorList desk={desk} kind="totp" />
        {begun === null ? (
          <NameForm label="Name" button="Set up an app" proposal="Authenticator" send={start} />
        ) : (
          <form class="stacked enrol" onSubmit={finish}>
            <p>Scan this with the app, or type the key into it:</p>
            <QrPicture text={begun.uri} />
            <p>
              <code class="secret">{inGroups(begun.secret)}</code>
            </p>
            <p>
              <a href={begun.uri}>Open in an app on this device</a>
            </p>
            <label for="first-code">Code that the app shows now</label>
            <input
              ref={field}
              id="first-code"
              type="text"
              inputmode="numeric"
              autocomplete="one-time-code"
              maxLength={12}
              required
              autofocus
            />
            <div class="dialog-foot">
              <button type="submit" class="primary">
                Turn on
              </button>
              <button type="button" onClick={() => begin(null)}>
                Cancel
              </button>
            </div>
          </form>
        )}
      </>
    </Part>
  );
}

/** Dark on light in every theme: readers expect it, with four modules of light around it. */
function QrPicture({ text }: { readonly text: string }): JSX.Element | null {
  const code = qrCode(text);
  if (code === undefined) return null;
  const size = code.length + 8;
  const path = code
    .flatMap((row, y) => row.map((dark, x) => (dark ? `M${x + 4} ${y + 4}h1v1h-1z` : "")))
    .join("");
  return (
    <svg class="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label="QR code of the key">
      <path fill="#fff" d={`M0 0h${size}v${size}H0z`} />
      <path fill="#000" d={path} />
    </svg>
  );
}
