/** Steps of logins as an edge sends them, checked: it may be owned. */

import { maxCredentialLength } from "#access/factors";
import type { WebLogin } from "#contracts/web";
import { isBoolean, matching, object, oneBy, oneOf, text } from "../shape.ts";

type Step<Name extends WebLogin["step"]> = Extract<WebLogin, { readonly step: Name }>;

const handle = matching(/^[A-Za-z0-9_-]{43}$/);
/** As in a URL; what is published is checked where it matters. */
const host = matching(/^[a-z0-9.:[\]-]{1,270}$/);
const from = { clientAddress: text(64), host };

const isStep = oneBy("step", {
  password: object<Step<"password">>({
    ...from,
    step: oneOf("password"),
    name: text(320),
    password: text(1024),
    publicComputer: isBoolean,
  }),
  code: object<Step<"code">>({ ...from, step: oneOf("code"), pending: handle, code: text(64) }),
  "passkey-challenge": object<Step<"passkey-challenge">>(
    { ...from, step: oneOf("passkey-challenge"), publicComputer: isBoolean },
    { pending: handle },
  ),
  passkey: object<Step<"passkey">>({
    ...from,
    step: oneOf("passkey"),
    pending: handle,
    credential: text(maxCredentialLength),
  }),
  "oidc-start": object<Step<"oidc-start">>({
    ...from,
    step: oneOf("oidc-start"),
    publicComputer: isBoolean,
  }),
  oidc: object<Step<"oidc">>({ ...from, step: oneOf("oidc"), pending: handle, query: text(8192) }),
});

/** @returns undefined for anything but one whole step */
export function readLogin(header: unknown): WebLogin | undefined {
  return isStep(header) ? (header as WebLogin) : undefined;
}
