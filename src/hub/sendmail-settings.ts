/** What an administrator may set about mail that programs of this machine hand in (docs/sendmail.md). */

import { isAbsolute } from "node:path";
import { Misconfigured } from "#base/errors";
import type { Parameter, Values } from "#base/parameters";

export const sendmailParameters: {
  readonly senders: Parameter<readonly string[]>;
  readonly usersTo: Parameter<string>;
} = {
  senders: {
    default: [],
    doc: "Addresses, or domains as @example.org, that programs of this machine may write as, besides any name at site.hostname.",
  },
  usersTo: {
    default: "",
    doc: "Who gets what programs send to users of this machine, such as root; empty: the postmaster of site.domain.",
  },
};

export type SendmailSettings = Values<typeof sendmailParameters>;

/** @throws Misconfigured when one of them is neither an address nor @DOMAIN */
export function checkSendmail(settings: SendmailSettings): SendmailSettings {
  const wrong = settings.senders.find((one) => !/^[^\s@]*@[^\s@]+$/.test(one));
  if (wrong !== undefined) {
    throw new Misconfigured(`sendmail.senders: "${wrong}" is neither an address nor @DOMAIN`);
  }
  if (settings.usersTo !== "" && !/^[^\s@]+@[^\s@]+$/.test(settings.usersTo)) {
    throw new Misconfigured(`sendmail.usersTo: "${settings.usersTo}" is not an address`);
  }
  return settings;
}

/** @throws Misconfigured unless it is the path of a socket; @returns undefined when nothing is set */
export function localSocketOf(text: string): string | undefined {
  if (text === "" || isAbsolute(text)) return text || undefined;
  throw new Misconfigured(`listen.local: "${text}" is not an absolute path`);
}
