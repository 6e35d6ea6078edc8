/** What all sessions of one server share. */

import type { Duplex } from "node:stream";
import type { Admission } from "./admission.ts";
import type { SmtpEvents } from "./events.ts";
import type { Session } from "./session.ts";
import type { Tarpit } from "./tarpit.ts";
import type { SmtpHandler, SmtpServerOptions } from "./types.ts";

/** What a session waits for. */
export type Phase =
  | "proxy"
  | "handshake"
  | "silent"
  | "command"
  | "login"
  | "data"
  | "chunk"
  | "discard"
  | "ending";

export interface Core {
  readonly options: SmtpServerOptions;
  readonly handler: SmtpHandler;
  readonly events: SmtpEvents;
  readonly admission: Admission;
  readonly tarpit: Tarpit | undefined;
  readonly isDraining: boolean;
  readonly isTrustedProxy: (address: string) => boolean;
  /**
   * The whole reply to EHLO, ready for the wire; made once for each kind of session.
   *
   * @param logins mechanisms that this client is offered
   */
  ehloReply(secure: boolean, logins: readonly string[]): string;
  /** 32 hexadecimal digits that no other transaction has. */
  newId(): string;
  /** Calls greet() after the pause before the greeting. */
  greetSoon(session: Session): void;
  /** From now on the stream's octets and its end go to the session. */
  adopt(stream: Duplex, session: Session): void;
  release(stream: Duplex): void;
  forget(session: Session): void;
}
