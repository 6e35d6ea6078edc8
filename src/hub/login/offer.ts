/** What the login page offers besides a password. */

import type { LoginSettings } from "#access/factors";
import type { LoginOffer } from "#model/publishing";

export function loginOffer({
  oidcIssuer,
  oidcLabel,
}: Pick<LoginSettings, "oidcIssuer" | "oidcLabel">): LoginOffer {
  if (oidcIssuer === "") return { passkeys: true };
  const host = URL.parse(oidcIssuer)?.host ?? oidcIssuer;
  return { passkeys: true, oidcLabel: oidcLabel === "" ? host : oidcLabel };
}
