/** Which command may come in which state, and who carries it out (RFC 9051 §3, §6). */

import type { Command, CommandName, PlainCommand } from "#formats/imap";
import { type Answer, bad, no, ok, type Talk } from "./context.ts";
import { copyOrMove } from "./copy.ts";
import { fetchMessages } from "./fetch.ts";
import { listMailboxes, listSubscribed, statusOf } from "./list.ts";
import { authenticate, login } from "./login.ts";
import { changeMailbox, renameMailbox } from "./manage.ts";
import { search } from "./search.ts";
import { close, expunge, selectMailbox, unselect } from "./select.ts";
import { storeFlags } from "./store-flags.ts";

/** A command that takes further lines; each either ends it or leads to the next state. */
export interface Pending {
  readonly name: CommandName;
  readonly tag: string;
  /** While it waits, news are told. */
  readonly idle?: true;
  line(text: string): Answer | Pending | Promise<Answer | Pending>;
}

export type Outcome = Answer | Pending | Promise<Answer | Pending>;

const anytime: ReadonlySet<CommandName> = new Set(["CAPABILITY", "NOOP", "LOGOUT", "ID"]);
const beforeLogin: ReadonlySet<CommandName> = new Set(["LOGIN", "AUTHENTICATE", "STARTTLS"]);
const whenSelected: ReadonlySet<CommandName> = new Set([
  "CHECK",
  "CLOSE",
  "UNSELECT",
  "EXPUNGE",
  "SEARCH",
  "FETCH",
  "STORE",
  "COPY",
  "MOVE",
]);

export function dispatch(talk: Talk, command: Command, tag: string): Outcome {
  const { name } = command;
  if (!anytime.has(name)) {
    if (beforeLogin.has(name) !== (talk.person === undefined)) {
      return bad(talk.person === undefined ? "Log in first" : "Already logged in");
    }
    if (whenSelected.has(name) && talk.view === undefined) return bad("No mailbox is selected");
  }
  return carryOut(talk, command, tag);
}

function carryOut(talk: Talk, command: Command, tag: string): Outcome {
  switch (command.name) {
    case "LOGIN":
      return login(talk, command.user, command.password);
    case "AUTHENTICATE":
      return authenticate(talk, command.mechanism, command.initial, tag);
    case "SELECT":
    case "EXAMINE":
      return selectMailbox(talk, command);
    case "CREATE":
    case "DELETE":
    case "SUBSCRIBE":
    case "UNSUBSCRIBE":
      return changeMailbox(talk, command.name, command.mailbox);
    case "RENAME":
      return renameMailbox(talk, command.mailbox, command.to);
    case "LIST":
      return listMailboxes(talk, command);
    case "LSUB":
      return listSubscribed(talk, command.reference, command.pattern);
    case "STATUS":
      return statusOf(talk, command.mailbox, command.items);
    case "EXPUNGE":
      return expunge(talk, command.set);
    case "FETCH":
      return fetchMessages(talk, command);
    case "STORE":
      return storeFlags(talk, command);
    case "SEARCH":
      return search(talk, command);
    case "COPY":
    case "MOVE":
      return copyOrMove(talk, command);
    case "ENABLE":
      return enable(talk, command.capabilities);
    case "APPEND":
      return bad("APPEND needs a message");
    default:
      return carryOutPlain(talk, command.name, tag);
  }
}

/** Without a default, so that a command nobody carries out does not compile. */
function carryOutPlain(talk: Talk, name: PlainCommand["name"], tag: string): Outcome {
  const { out, shared } = talk;
  switch (name) {
    case "CAPABILITY": {
      const { before, after } = shared.capabilities;
      out.line(`* CAPABILITY ${talk.person === undefined ? before : after}`);
      return ok("CAPABILITY completed");
    }
    case "LOGOUT":
      out.line("* BYE Logging out");
      return { ...ok("LOGOUT completed"), end: "logged out" };
    case "ID": // RFC 2971 §3.2; no version, which would help nobody honest
      out.line('* ID ("name" "Postern")');
      return ok("ID completed");
    case "STARTTLS": // the whole connection is TLS already (RFC 8314 §3)
      return bad("TLS is active");
    case "NAMESPACE":
      out.line('* NAMESPACE (("" "/")) NIL NIL');
      return ok("NAMESPACE completed");
    case "IDLE":
      out.line("+ idling");
      return idle(tag);
    case "CLOSE":
      return close(talk);
    case "UNSELECT":
      return unselect(talk);
    case "NOOP": // news are told with every answer
    case "CHECK":
      return ok(`${name} completed`);
  }
}

/** RFC 9051 §6.3.13. */
function idle(tag: string): Pending {
  return {
    name: "IDLE",
    tag,
    idle: true,
    line: (text) => (text.toUpperCase() === "DONE" ? ok("IDLE ended") : bad("Expected DONE")),
  };
}

/** RFC 9051 §6.3.1; unknown ones are passed over. */
function enable(talk: Talk, capabilities: readonly string[]): Answer {
  if (talk.view !== undefined && capabilities.includes("UTF8=ACCEPT")) {
    return no("UTF8=ACCEPT is enabled before SELECT"); // RFC 6855 §3
  }
  const switched: string[] = [];
  const { enabled } = talk;
  for (const capability of new Set(capabilities)) {
    if (capability === "IMAP4REV2") enabled.rev2 = true;
    else if (capability === "UTF8=ACCEPT") enabled.utf8 = true;
    else if (capability === "CONDSTORE") enabled.condStore = true;
    else if (capability === "QRESYNC") enabled.condStore = enabled.qresync = true;
    else continue;
    switched.push(capability === "IMAP4REV2" ? "IMAP4rev2" : capability);
  }
  talk.out.line(switched.length === 0 ? "* ENABLED" : `* ENABLED ${switched.join(" ")}`);
  return ok("ENABLE completed");
}
