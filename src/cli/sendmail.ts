/** The command line of sendmail alone: it starts in a fraction of the time of all commands. */

export { runSendmail } from "./commands/sendmail.ts";
