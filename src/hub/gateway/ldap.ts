/** Recipients from a directory (RFC 4511), over one connection that is made again when it ends. */

import { readFileSync } from "node:fs";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { Client, ResultCodeError } from "ldapts";
import type { Clock } from "#base/clock";
import { Unavailable } from "#base/errors";
import { filterFor } from "./ldap-filter.ts";
import type { Gateway } from "./settings.ts";
import { type RecipientSource, withoutTag } from "./source.ts";
import { within } from "./within.ts";

/** From the dialling to the login, and for one search. */
const openMs = 5000;
const searchMs = 5000;

type LdapSettings = Pick<
  Gateway,
  | "ldapUrl"
  | "ldapPlain"
  | "ldapBase"
  | "ldapFilter"
  | "ldapUser"
  | "ldapSecretFile"
  | "ldapCaFile"
  | "subAddresses"
>;

/** Secrets and authorities are read anew for each connection. */
export function ldapSource(settings: LdapSettings, clock: Clock): RecipientSource {
  const connection = new Connection(settings, clock);
  return {
    async has(address) {
      const base = settings.subAddresses ? withoutTag(address) : undefined;
      if (await connection.finds(address)) return true;
      return base !== undefined && (await connection.finds(base));
    },
    [Symbol.asyncDispose]: async () => connection.drop(),
  };
}

/** One connection: its client once somebody is logged in, and the way to end it at once. */
interface Session {
  readonly client: Promise<Client>;
  readonly end: () => void;
}

class Connection {
  readonly #settings: LdapSettings;
  readonly #clock: Clock;
  #session: Session | undefined;

  constructor(settings: LdapSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  /** @throws Unavailable */
  async finds(address: string, mayRetry = true): Promise<boolean> {
    const { ldapBase, ldapFilter } = this.#settings;
    const wasOpen = this.#session !== undefined;
    const session = (this.#session ??= this.#begin());
    try {
      const client = await session.client;
      const filter = filterFor(ldapFilter, address);
      // No attribute is asked for ("1.1", RFC 4511 §4.5.1.8), and a second entry changes nothing.
      const asked = { filter, sizeLimit: 1, attributes: ["1.1"] };
      const { searchEntries } = await client.search(ldapBase, asked);
      return searchEntries.length > 0;
    } catch (error) {
      if (!(error instanceof ResultCodeError)) {
        session.end();
        // A server may close what was idle: no failure before a new connection has failed, too.
        if (wasOpen && mayRetry) return this.finds(address, false);
      }
      throw new Unavailable(`LDAP: ${wordsOf(error)}`, { cause: error });
    }
  }

  drop(): void {
    this.#session?.end();
  }

  #begin(): Session {
    const sockets: Socket[] = [];
    const end = (): void => {
      if (this.#session === session) this.#session = undefined;
      for (const socket of sockets) socket.destroy();
    };
    const track = <Kind extends Socket>(socket: Kind): Kind => {
      sockets.push(socket);
      socket.once("close", end);
      return socket;
    };
    const client = within(this.#clock, openMs, connected(this.#settings, track));
    client.catch(end);
    const session = { client, end };
    return session;
  }
}

type Track = <Kind extends Socket>(socket: Kind) => Kind;

async function connected(settings: LdapSettings, track: Track): Promise<Client> {
  const { ldapUrl, ldapPlain, ldapUser, ldapSecretFile, ldapCaFile } = settings;
  const { protocol, hostname } = new URL(ldapUrl);
  const isSecure = protocol === "ldaps:";
  const tls = tlsOptions(hostname.replace(/^\[|\]$/g, ""), fileOf(ldapCaFile));
  const secret = fileOf(ldapSecretFile).replace(/\r?\n$/, "");
  // RFC 4513 §5.1.2: a name without a password is anonymous, and the server would not say so.
  if (ldapUser !== "" && secret === "") throw new Unavailable(`${ldapSecretFile} is empty`);
  const client = new Client({
    url: ldapUrl,
    timeout: searchMs,
    connectTimeout: openMs,
    ...(isSecure && { tlsOptions: tls }),
    createConnection: ((...at: Parameters<typeof connectTcp>) =>
      track(connectTcp(...at))) as typeof connectTcp,
    createSecureConnection: ((...at: Parameters<typeof connectTls>) =>
      track(connectTls(...at))) as typeof connectTls,
  });
  if (!isSecure && !ldapPlain) await client.startTLS(tls);
  await client.bind(ldapUser, secret);
  return client;
}

/** The certificate is held against the name in the URL (RFC 4513 §3.1.3). */
function tlsOptions(host: string, authorities: string): ConnectionOptions {
  return {
    host,
    minVersion: "TLSv1.2",
    ...(isIP(host) === 0 && { servername: host }),
    ...(authorities !== "" && { ca: authorities }),
  };
}

/** @throws Unavailable */
export function fileOf(path: string): string {
  if (path === "") return "";
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new Unavailable(`${path} cannot be read`, { cause: error });
  }
}

/** What an administrator can do about a result code (RFC 4511 appendix A.2). */
const refusals: Readonly<Record<number, string>> = {
  8: "it wants TLS before a login",
  32: "ldapBase is not there",
  34: "ldapUser or ldapBase is not written as it wants: OpenLDAP takes ldapUser as a DN",
  48: "it takes no login without a password",
  49: "it refuses ldapUser with this password",
  50: "ldapUser may not search there",
};

function wordsOf(error: unknown): string {
  if (error instanceof Unavailable) return error.message;
  const refusal = error instanceof ResultCodeError ? refusals[error.code] : undefined;
  if (refusal !== undefined) return refusal;
  const { name, message } = error as Error;
  return (name === "Error" ? message : `${name}: ${message}`).split("\n")[0]?.slice(0, 300) ?? "";
}
