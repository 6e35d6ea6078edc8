/** The IMAP server: admits connections, passes changes on, ends who is silent too long. */

import type { Duplex } from "node:stream";
import type { Clock, Timer } from "#base/clock";
import { Gate } from "#base/limits";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { Random } from "#base/random";
import type { Directory, Person } from "#contracts/directory";
import type { Store } from "#contracts/store";
import type { AccountId, MailboxId } from "#model/mailbox";
import type { Follower, Shared } from "./context.ts";
import { imapEvents } from "./events.ts";
import type { ImapLimits } from "./parameters.ts";
import { Recents } from "./recents.ts";
import { Rendered } from "./rendered.ts";
import { Session } from "./session.ts";

export interface ImapServerOptions {
  readonly store: Store;
  readonly directory: Directory;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly registry: Registry;
  readonly limits: ImapLimits;
  /** How often everything of the account was ended (a new password, a sign-out everywhere). */
  readonly revocations: (account: AccountId) => number;
  /** For the greeting. */
  readonly hostname: string;
}

export interface ImapServer {
  /**
   * Serves one connection whose TLS handshake is done.
   *
   * @param from address of the client
   */
  attach(tlsSocket: Duplex, from: string): void;
  connections(): number;
  /** Takes no more connections, lets running commands end; resolves when all are gone. */
  drain(): Promise<void>;
}

const before = "IMAP4rev1 IMAP4rev2 SASL-IR LITERAL- ID ENABLE AUTH=PLAIN";

const after = [
  "IMAP4rev1 IMAP4rev2 LITERAL- ID ENABLE IDLE NAMESPACE CHILDREN LIST-EXTENDED LIST-STATUS",
  "SPECIAL-USE UIDPLUS MOVE UNSELECT CONDSTORE QRESYNC ESEARCH SEARCHRES WITHIN BINARY UTF8=ACCEPT",
  "STATUS=SIZE OBJECTID PREVIEW",
].join(" ");

/** How often time limits are looked at, for all connections together. */
const sweepMs = 5_000;
/** Connections that are left open by a drain for longer are cut. */
const drainMs = 10_000;

export function createImapServer(options: ImapServerOptions): ImapServer {
  return new Server(options);
}

class Server implements ImapServer {
  readonly #shared: Shared;
  readonly #sessions: Set<Session> = new Set();
  readonly #perAddress: Map<string, number> = new Map();
  readonly #followers: Map<MailboxId, Set<Follower>> = new Map();
  readonly #following: Map<Follower, MailboxId> = new Map();
  readonly #unwatch: () => void;
  #sweep: Timer | undefined;
  #draining: (() => void) | undefined;

  constructor(options: ImapServerOptions) {
    const { store, directory, clock, limits, revocations, hostname, registry, log } = options;
    this.#shared = {
      store,
      directory,
      clock,
      limits,
      hostname,
      events: imapEvents(registry, log),
      recents: new Recents(),
      rendered: new Rendered(limits.renderedChars),
      largeReads: new Gate(2, 100),
      capabilities: { before, after: `${after} APPENDLIMIT=${limits.maxMessageBytes}` },
      mayEnter: (person) => this.#mayEnter(person),
      revocations,
      follow: (follower, mailbox) => this.#follow(follower, mailbox),
    };
    this.#unwatch = store.watch((change) => {
      this.#shared.recents.note(change);
      for (const { message } of change.expunged) this.#shared.rendered.forget(message);
      for (const follower of this.#followers.get(change.mailbox) ?? []) follower.changed(change);
    });
  }

  attach(socket: Duplex, from: string): void {
    const { events, limits } = this.#shared;
    const ofAddress = this.#perAddress.get(from) ?? 0;
    const full = this.#sessions.size >= limits.maxConnections;
    if (full || ofAddress >= limits.maxConnectionsPerAddress || this.#draining !== undefined) {
      events.turnedAway(from, full ? "connections" : "address");
      socket.on("error", () => socket.destroy());
      socket.end("* BYE [UNAVAILABLE] Too many connections\r\n", () => socket.destroy());
      return;
    }
    events.connected(from);
    this.#perAddress.set(from, ofAddress + 1);
    this.#sessions.add(new Session(socket, from, this.#shared, (gone) => this.#closed(gone)));
    events.open(this.#sessions.size);
    this.#sweep ??= this.#shared.clock.after(sweepMs, () => this.#sweepAll());
  }

  connections(): number {
    return this.#sessions.size;
  }

  async drain(): Promise<void> {
    const { clock } = this.#shared;
    const ended = new Promise<void>((resolve) => {
      this.#draining = resolve;
    });
    for (const session of [...this.#sessions]) session.drain();
    const timer = clock.after(drainMs, () => {
      for (const session of [...this.#sessions]) session.destroy("server ended");
    });
    if (this.#sessions.size > 0) await ended;
    timer.cancel();
    this.#sweep?.cancel();
    this.#unwatch();
  }

  #closed(session: Session): void {
    this.#sessions.delete(session);
    const left = (this.#perAddress.get(session.from) ?? 1) - 1;
    if (left > 0) this.#perAddress.set(session.from, left);
    else this.#perAddress.delete(session.from);
    this.#shared.events.open(this.#sessions.size);
    if (this.#sessions.size > 0) return;
    this.#draining?.();
    this.#sweep?.cancel();
    this.#sweep = undefined;
  }

  #mayEnter(person: Person): boolean {
    let count = 0;
    for (const session of this.#sessions) if (session.person?.id === person.id) count += 1;
    return count < this.#shared.limits.maxConnectionsPerAccount;
  }

  #follow(follower: Follower, mailbox: MailboxId | undefined): void {
    const current = this.#following.get(follower);
    if (current !== undefined) {
      this.#following.delete(follower);
      const others = this.#followers.get(current);
      others?.delete(follower);
      if (others?.size === 0) this.#followers.delete(current);
    }
    if (mailbox === undefined) return;
    this.#following.set(follower, mailbox);
    const together = this.#followers.get(mailbox) ?? new Set();
    together.add(follower);
    this.#followers.set(mailbox, together);
  }

  #sweepAll(): void {
    const { clock, limits } = this.#shared;
    const nowMs = clock.tickMs();
    for (const session of [...this.#sessions]) session.checkTime(nowMs, limits);
    this.#sweep =
      this.#sessions.size > 0 ? clock.after(sweepMs, () => this.#sweepAll()) : undefined;
  }
}
