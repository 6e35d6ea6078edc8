/** What the IMAP door counts and logs. No names of mailboxes, no content, no passwords. */

import type { Log } from "#base/log";
import type { Registry } from "#base/measures";

export interface ImapEvents {
  connected(from: string): void;
  turnedAway(from: string, why: "connections" | "address" | "account"): void;
  loggedIn(account: string, from: string): void;
  loginRefused(from: string, reason: string): void;
  closed(from: string, why: string, seconds: number): void;
  command(name: string, status: "OK" | "NO" | "BAD", seconds: number): void;
  unreadable(fault: string): void;
  appended(sizeBytes: number): void;
  appendAborted(): void;
  open(connections: number): void;
  /** Something that is not the client's fault. */
  failed(doing: string, error: unknown): void;
}

export function imapEvents(registry: Registry, log: Log): ImapEvents {
  const connections = registry.counter("imap_connections", "IMAP connections taken or turned away");
  const logins = registry.counter("imap_logins", "IMAP logins by outcome");
  const commands = registry.counter("imap_commands", "IMAP commands by name and status");
  const seconds = registry.histogram("imap_command_seconds", "Time to answer an IMAP command");
  const unreadable = registry.counter("imap_unreadable", "Input that was no command, by fault");
  const appended = registry.counter("imap_appended_bytes", "Octets of messages added by APPEND");
  const aborted = registry.counter(
    "imap_appends_aborted",
    "APPENDs that the client left unfinished",
  );
  const open = registry.gauge("imap_open_connections", "IMAP connections that are open");
  const failures = registry.counter("imap_failures", "IMAP commands that failed by our fault");
  return {
    connected(from) {
      connections.add({ outcome: "taken" });
      log.write("debug", "imap.connected", { from });
    },
    turnedAway(from, why) {
      connections.add({ outcome: why });
      log.write("warn", "imap.turned-away", { from, why });
    },
    loggedIn(account, from) {
      logins.add({ outcome: "ok" });
      log.write("info", "imap.logged-in", { account, from });
    },
    loginRefused(from, reason) {
      logins.add({ outcome: reason });
      log.write("info", "imap.login-refused", { from, reason });
    },
    closed(from, why, secondsOpen) {
      log.write("debug", "imap.closed", { from, why, seconds: Math.round(secondsOpen) });
    },
    command(name, status, secondsTaken) {
      commands.add({ command: name, status });
      seconds.observe(secondsTaken);
    },
    unreadable: (fault) => unreadable.add({ fault }),
    appended: (sizeBytes) => appended.add({}, sizeBytes),
    appendAborted: () => aborted.add(),
    open: (count) => open.set(count),
    failed(doing, error) {
      failures.add({ command: doing });
      const why = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      log.write("error", "imap.failed", { doing, why });
    },
  };
}
