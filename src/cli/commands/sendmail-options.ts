/** Options of sendmail, as programs have used them for decades: single letters, some with a value. */

import { ExitError, exitCodes } from "../exit.ts";

export interface SendmailOptions {
  readonly mode: "deliver" | "smtp" | "list" | "nothing";
  /** Recipients stand in the header, besides those of the command line. */
  readonly readsRecipients: boolean;
  /** A line with a single dot is part of the message. */
  readonly ignoresDots: boolean;
  /** Return path; "" is the null path; absent: the user's own. */
  readonly sender?: string;
  readonly fullName?: string;
  readonly notify?: readonly ("never" | "success" | "failure" | "delay")[];
  readonly dsnReturn?: "full" | "headers";
  readonly envelopeId?: string;
  readonly body?: "7bit" | "8bitmime";
  readonly isVerbose: boolean;
  readonly recipients: readonly string[];
}

/** With a value that is heeded, or that is passed over: -o alone says a hundred things. */
const withValue = "BCDFLNORVXbfhopr";
/** The value, when there is one, is part of the same word. */
const withOwnValue = "Adq";
const flags = "GImnitUvx";

type Draft = { -readonly [Key in keyof SendmailOptions]: SendmailOptions[Key] };

/** @throws ExitError 64 for what is unknown or cannot be done */
export function parseSendmail(words: readonly string[]): SendmailOptions {
  const recipients: string[] = [];
  const draft: Draft = {
    mode: "deliver",
    readsRecipients: false,
    ignoresDots: false,
    isVerbose: false,
    recipients,
  };
  const left = [...words];
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    if (word === "--") recipients.push(...left.splice(0));
    else if (!word.startsWith("-") || word === "-") recipients.push(word);
    else readWord(draft, word.slice(1), left);
  }
  return draft;
}

/** "-ti", "-fuser", "-f user": letters, until one takes the rest or the next word. */
function readWord(draft: Draft, letters: string, left: string[]): void {
  for (let at = 0; at < letters.length; at += 1) {
    const letter = letters[at] ?? "";
    const rest = letters.slice(at + 1);
    if (withValue.includes(letter)) {
      const value = rest !== "" ? rest : left.shift();
      if (value === undefined) throw usage(`option -${letter} needs a value`);
      return heed(draft, letter, value);
    }
    if (withOwnValue.includes(letter)) return heed(draft, letter, rest);
    if (!flags.includes(letter)) throw usage(`unknown option -${letter}`);
    heed(draft, letter, "");
  }
}

function heed(draft: Draft, letter: string, value: string): void {
  switch (letter) {
    case "t":
      draft.readsRecipients = true;
      return;
    case "i":
      draft.ignoresDots = true;
      return;
    case "v":
      draft.isVerbose = true;
      return;
    case "f":
    case "r":
      draft.sender = value.replace(/^<(.*)>$/, "$1");
      return;
    case "F":
      draft.fullName = value;
      return;
    case "o":
      if (value === "i" || value === "iTrue") draft.ignoresDots = true;
      return; // delivery modes, error modes and tuning of another mailer
    case "q":
      draft.mode = "nothing"; // the queue runs by itself
      return;
    default:
      return heedExtension(draft, letter, value);
  }
}

function heedExtension(draft: Draft, letter: string, value: string): void {
  switch (letter) {
    case "b":
      draft.mode = modeOf(value);
      return;
    case "B":
      if (/^8bitmime$/i.test(value)) draft.body = "8bitmime";
      else if (!/^7bit$/i.test(value)) throw usage(`-B ${value} is neither 7BIT nor 8BITMIME`);
      return;
    case "N":
      draft.notify = notifyOf(value);
      return;
    case "R":
      if (!/^(?:full|hdrs)$/i.test(value)) throw usage(`-R ${value} is neither full nor hdrs`);
      draft.dsnReturn = value.toLowerCase() === "full" ? "full" : "headers";
      return;
    case "V":
      draft.envelopeId = value;
      return;
    default: // of another mailer, without an effect here
  }
}

function modeOf(value: string): SendmailOptions["mode"] {
  if (value === "m") return "deliver";
  if (value === "s") return "smtp";
  if (value === "p") return "list";
  throw usage(`-b${value} is not for this program: Postern is started by "postern up"`);
}

/** RFC 3461 §4.1 */
function notifyOf(value: string): NonNullable<SendmailOptions["notify"]> {
  const words = value.toLowerCase().split(",");
  const known = ["never", "success", "failure", "delay"] as const;
  const wished = known.filter((one) => words.includes(one));
  const isAlone = !words.includes("never") || words.length === 1;
  if (wished.length !== words.length || !isAlone) {
    throw usage(`-N ${value} is not never, or some of success, failure and delay`);
  }
  return wished;
}

function usage(what: string): ExitError {
  return new ExitError(exitCodes.usage, what);
}
