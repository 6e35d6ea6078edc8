/** An IMAP server over TLS on loopback, on a real store in a temporary folder, and a client to talk to it. */

import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer, type TLSSocket } from "node:tls";
import { type Clock, systemClock } from "#base/clock";
import { realDisk } from "#base/disk";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { systemRandom } from "#base/random";
import type { Directory, LoginOutcome } from "#contracts/directory";
import type { Store } from "#contracts/store";
import { openStore } from "#store";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { fixedMaster } from "../../store/fixture.ts";
import { createImapServer, type ImapLimits, type ImapServer, imapParameters } from "./index.ts";

const credential = selfSigned("localhost");

export interface Fixture extends AsyncDisposable {
  readonly port: number;
  readonly store: Store;
  readonly server: ImapServer;
  readonly registry: Registry;
  /** A connection that has read the greeting. */
  connect(): Promise<Client>;
  /** The same, logged in. */
  login(name?: string, given?: string): Promise<Client>;
}

/** Password of everybody. */
export const password = "correct horse";

/** Any password that begins so is an app password, and its own id. */
const appPassword = "app ";

const directoryOf = (names: readonly string[], removed: ReadonlySet<string>): Directory => {
  const personOf = (name: string) => ({
    id: name,
    address: `${name}@example.org`,
    displayName: name,
  });
  const refused: LoginOutcome = { ok: false, reason: "refused" };
  return {
    login: async (name, given) => {
      const known = names.includes(name);
      if (known && given.startsWith(appPassword)) {
        return { ok: true, person: personOf(name), appPassword: given };
      }
      return known && given === password ? { ok: true, person: personOf(name) } : refused;
    },
    hasAppPassword: (_account, id) => !removed.has(id),
    person: personOf,
    personByAddress: (address) => personOf(address.split("@")[0] ?? ""),
    isLocalDomain: () => true,
    resolve: () => [],
    maySendAs: () => false,
    identities: () => [],
  };
};

export async function startImap(
  options: {
    readonly limits?: Partial<ImapLimits>;
    readonly clock?: Clock;
    readonly revocations?: (account: string) => number;
    /** App passwords that are gone. */
    readonly removed?: ReadonlySet<string>;
  } = {},
): Promise<Fixture> {
  const folder = mkdtempSync(join(tmpdir(), "postern-imap-"));
  const names = ["alice", "bob"];
  const store = await openStore({
    master: fixedMaster,
    disk: realDisk,
    clock: systemClock,
    random: systemRandom,
    directory: join(folder, "store"),
    indexPath: join(folder, "index.sqlite"),
  });
  await store.people.putDomain({ name: "example.org" }, "test");
  for (const name of names) {
    const account = { id: name, address: `${name}@example.org`, displayName: name, createdAtMs: 0 };
    await store.people.putAccount(account, "test");
  }
  const registry = new Registry();
  const server = createImapServer({
    store,
    directory: directoryOf(names, options.removed ?? new Set()),
    clock: options.clock ?? systemClock,
    random: systemRandom,
    log: silentLog,
    registry,
    limits: { ...defaultsOf(imapParameters), ...options.limits },
    revocations: options.revocations ?? (() => 0),
    hostname: "mail.example.org",
  });
  const listener = createServer({ ...credential }, (socket) => {
    server.attach(socket, socket.remoteAddress ?? "");
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  const clients: Client[] = [];
  const open = async (): Promise<Client> => {
    const client = new Client(port);
    clients.push(client);
    await client.until(/^\* .*\r\n/);
    return client;
  };
  return {
    port,
    store,
    server,
    registry,
    connect: open,
    async login(name = "alice", given = password) {
      const client = await open();
      await client.command(`LOGIN ${name} "${given}"`);
      client.take();
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.socket.destroy();
      await server.drain();
      listener.close();
      await store[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export class Client {
  readonly socket: TLSSocket;
  closed = false;
  #text = "";
  #tags = 0;
  #wake: () => void = () => {};

  constructor(port: number) {
    this.socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
    this.socket.on("data", (chunk: Buffer) => {
      this.#text += chunk.toString("latin1");
      this.#wake();
    });
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
  }

  /** What came and was not taken. */
  get text(): string {
    return this.#text;
  }

  take(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }

  send(text: string | Buffer): void {
    this.socket.write(typeof text === "string" ? Buffer.from(text, "latin1") : text);
  }

  /** Waits until what came matches, and takes all of it. */
  async until(pattern: RegExp): Promise<string> {
    const deadline = Date.now() + 5000;
    while (!pattern.test(this.#text)) {
      if (this.closed || Date.now() > deadline) {
        const why = this.closed ? "closed" : "nothing more";
        throw new Error(`${why} while waiting for ${pattern}; got ${JSON.stringify(this.#text)}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.take();
  }

  /** Sends a command. @returns all lines up to its completion, which comes without its tag */
  async command(text: string): Promise<string[]> {
    this.#tags += 1;
    const tag = `t${this.#tags}`;
    this.send(`${tag} ${text}\r\n`);
    return this.completion(tag);
  }

  async completion(tag: string): Promise<string[]> {
    const all = await this.until(new RegExp(`(?:^|\r\n)${tag} .*\r\n$`));
    return all.replace(`${tag} `, "").trimEnd().split("\r\n");
  }

  async append(mailbox: string, message: string, rest = ""): Promise<string[]> {
    const octets = Buffer.from(message, "utf8");
    this.#tags += 1;
    this.send(`t${this.#tags} APPEND ${mailbox} ${rest}{${octets.length}}\r\n`);
    const answer = await this.until(/\r\n$/);
    if (!answer.startsWith("+")) return answer.trimEnd().split("\r\n");
    this.send(octets);
    this.send("\r\n");
    return this.completion(`t${this.#tags}`);
  }

  async untilClosed(): Promise<string> {
    const deadline = Date.now() + 5000;
    while (!this.closed) {
      if (Date.now() > deadline) throw new Error(`still open; got ${JSON.stringify(this.#text)}`);
      await new Promise((resolve) => void setTimeout(resolve, 10));
    }
    return this.take();
  }
}

/** A message of one part. */
export const mail = (subject: string, body = "Hello.\r\n"): string =>
  `From: Ann <ann@example.net>\r\nTo: alice@example.org\r\nSubject: ${subject}\r\n\r\n${body}`;

/** The last line, which is the completion. */
export const last = (lines: readonly string[]): string => lines.at(-1) ?? "";
