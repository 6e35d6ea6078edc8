/** What the security view knows and does: factors, sessions, and acts that may need the password. */

import { useEffect, useRef, useState } from "preact/hooks";
import {
  confirmPassword,
  type Enrolled,
  type Factor,
  fetchFactors,
  fetchSessions,
  type WebSession,
} from "../account.ts";
import { Refused, SignedOut } from "../jmap.ts";
import type { Mail } from "../mail.ts";

export interface Desk {
  /** Null until the server told. */
  readonly factors: readonly Factor[] | null;
  readonly sessions: readonly WebSession[];
  readonly fault: string | null;
  /** Recovery codes that are shown now, and never again. */
  readonly codes: readonly string[] | null;
  /** What waits for the password. */
  readonly waiting: (() => Promise<void>) | null;
  /**
   * Runs an act and asks the server anew. Where it wants the password again first, that is asked for
   * and the act runs once more.
   *
   * @param faultOf words for what the server names
   */
  act(work: () => Promise<void>, faultOf?: (why: string) => string | undefined): Promise<void>;
  /** @returns words for what is wrong with it, or null */
  confirm(password: string): Promise<string | null>;
  cancel(): void;
  /** A factor was added: tells what is shown only once. */
  enrolled(what: Enrolled): void;
  showCodes(codes: readonly string[]): void;
  hideCodes(): void;
}

export function useDesk(mail: Mail): Desk {
  const [factors, setFactors] = useState<readonly Factor[] | null>(null);
  const [sessions, setSessions] = useState<readonly WebSession[]>([]);
  const [fault, setFault] = useState<string | null>(null);
  const [codes, setCodes] = useState<readonly string[] | null>(null);
  const [waiting, wait] = useState<(() => Promise<void>) | null>(null);
  /** The session was for enrolling only and is over. */
  const over = useRef(false);

  const load = async (): Promise<void> => {
    if (over.current) return;
    setFactors(await fetchFactors());
    if (mail.state.ready !== "enrolling") setSessions(await fetchSessions());
  };
  const act: Desk["act"] = async (work, faultOf = () => undefined) => {
    setFault(null);
    try {
      await work();
      await load();
    } catch (error) {
      if (error instanceof SignedOut) return mail.failed(error);
      const why = whyOf(error);
      if (why === "confirm") return wait(() => () => act(work, faultOf));
      setFault(faultOf(why) ?? wordsOf(error));
    }
  };
  useEffect(() => void act(async () => undefined), []);
  const leaveWhenOver = (): void => {
    if (over.current) location.assign("/login?return=%2Fmail%2F");
  };
  return {
    ...{ factors, sessions, fault, codes, waiting, act },
    async confirm(password) {
      try {
        await confirmPassword(password);
      } catch (error) {
        return wordsOf(error);
      }
      wait(null);
      await waiting?.();
      return null;
    },
    cancel: () => wait(null),
    enrolled({ recoveryCodes, signInAgain }) {
      over.current = signInAgain;
      if (recoveryCodes === undefined) leaveWhenOver();
      else setCodes(recoveryCodes);
    },
    showCodes: setCodes,
    hideCodes() {
      setCodes(null);
      leaveWhenOver();
    },
  };
}

const faultWords: Readonly<Record<string, string>> = {
  "wrong-password": "That password is not right.",
  "slow-down": "Too many attempts. Please wait a minute, then try again.",
  "wrong-code": "That code does not fit. Use the newest one, and check the clock of your device.",
  "bad-passkey": "That passkey could not be added.",
  "not-begun": "That took too long. Please begin again.",
  "no-such": "That is gone already.",
  "too-many": "There are too many of these, or this one is known already.",
};

const whyOf = (error: unknown): string => (error instanceof Refused ? error.why : "");

function wordsOf(error: unknown): string {
  const known = faultWords[whyOf(error)];
  if (known !== undefined) return known;
  if (error instanceof DOMException) return "No passkey was made.";
  return error instanceof Error ? error.message : "That did not work.";
}
