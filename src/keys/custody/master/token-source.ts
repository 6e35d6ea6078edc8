/** Master keys on a PKCS#11 token: what they wrap goes in, what they unwrap comes out, they stay. */

import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { Misconfigured, Unavailable } from "#base/errors";
import { readPrivateFile } from "../private-file.ts";
import { readCredentialFile } from "./credential-source.ts";
import { TokenError } from "./pkcs11.ts";
import { boundTo, keyBytes, type MasterSource, wrappedBytes } from "./source.ts";
import { openToken, type Token } from "./token.ts";

export interface TokenSettings {
  /** Path of the PKCS#11 library. */
  readonly module: string;
  readonly label: string;
  /** Label of the first key; the next ones are this with -2, -3 and so on. */
  readonly key: string;
  /** Absent: systemd's credential postern-pin. */
  readonly pinFile?: string;
  /** Variables that the library reads, each "NAME=VALUE". */
  readonly environment: readonly string[];
}

const pinCredential = "postern-pin";
const idPrefix = "token:";

/** CKR_FUNCTION_NOT_SUPPORTED, of key size, type and use, of mechanism and its parameters. */
const unable: readonly number[] = [0x54, 0x62, 0x63, 0x68, 0x70, 0x71];

/**
 * A token that goes away is opened again by the next request.
 *
 * @throws Misconfigured when library, PIN or key is wrong, Unavailable when the token is not there
 */
export async function openTokenSource(
  settings: TokenSettings,
  credentials: string | undefined,
): Promise<MasterSource> {
  const source = new TokenSource(settings, credentials);
  await source.use(() => undefined);
  return source;
}

class TokenSource implements MasterSource {
  readonly name: string;
  readonly #settings: TokenSettings;
  readonly #credentials: string | undefined;
  #open: Promise<Token> | undefined;
  /** Of each key by its id, the newest first. */
  #handles: ReadonlyMap<string, bigint> = new Map();

  constructor(settings: TokenSettings, credentials: string | undefined) {
    this.name = `the token "${settings.label}"`;
    this.#settings = settings;
    this.#credentials = credentials;
  }

  ids(): readonly string[] {
    return [...this.#handles.keys()];
  }

  wrap(id: string, key: Buffer, purpose: string): Promise<Buffer> {
    return this.use((token) => token.encrypt(this.#handle(id), key, boundTo(purpose, id)));
  }

  async unwrap(id: string, wrapped: Buffer, purpose: string): Promise<Buffer | undefined> {
    if (wrapped.length !== wrappedBytes) return undefined;
    return await this.use((token) => {
      const handle = this.#handle(id);
      try {
        return token.decrypt(handle, wrapped, boundTo(purpose, id));
      } catch (error) {
        if (!(error instanceof TokenError)) throw error;
        // Tokens differ in what they say of a wrong tag: whether others are right tells it apart.
        tryOut(token, handle);
        return undefined;
      }
    });
  }

  make(): Promise<string> {
    const { key } = this.#settings;
    return this.use((token) => {
      const number = numberOf(this.ids()[0] ?? "", key) + 1;
      token.generate(`${key}-${number}`);
      this.#list(token);
      return `${idPrefix}${key}-${number}`;
    });
  }

  retire(id: string): Promise<void> {
    return this.use((token) => {
      token.destroy(this.#handle(id));
      this.#list(token);
    });
  }

  async close(): Promise<void> {
    const token = await this.#open?.catch(() => undefined);
    this.#open = undefined;
    token?.close();
  }

  async use<Value>(act: (token: Token) => Value): Promise<Value> {
    // A wrong PIN or key stays: trying again would lock the token.
    const token = await (this.#open ??= this.#login().catch((error: unknown) => {
      if (!(error instanceof Misconfigured)) this.#open = undefined;
      throw error;
    }));
    try {
      return act(token);
    } catch (error) {
      if (!(error instanceof TokenError)) throw error;
      token.close();
      this.#open = undefined;
      throw new Unavailable(`${this.name} does not answer: ${error.message}`, { cause: error });
    }
  }

  async #login(): Promise<Token> {
    const { module, label, key, environment } = this.#settings;
    for (const variable of environment) {
      const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(variable) ?? [];
      if (name === undefined) throw new Misconfigured("tokenEnvironment has no NAME=VALUE");
      process.env[name] = value;
    }
    const token = await openToken({ module, label }, this.#pin());
    try {
      const [newest] = this.#list(token);
      if (newest === undefined) {
        throw new Misconfigured(`${this.name} has no AES key labelled "${key}"`);
      }
      tryOut(token, newest);
      return token;
    } catch (error) {
      token.close();
      if (!(error instanceof TokenError)) throw error;
      if (unable.includes(error.code)) {
        throw new Misconfigured(`${this.name} does not do AES-256-GCM: ${error.message}`);
      }
      throw new Unavailable(`${this.name} does not answer: ${error.message}`, { cause: error });
    }
  }

  #pin(): Buffer {
    const { pinFile } = this.#settings;
    const pin =
      pinFile === undefined
        ? readCredentialFile(this.#credentials, pinCredential)
        : readPrivateFile(pinFile);
    const end = pin.findLastIndex((octet) => octet !== 0x0a && octet !== 0x0d);
    return pin.subarray(0, end + 1);
  }

  /** Reads which keys there are. @returns their handles, the newest first */
  #list(token: Token): readonly bigint[] {
    this.#handles = handlesOf(token, this.#settings.key);
    return [...this.#handles.values()];
  }

  #handle(id: string): bigint {
    const handle = this.#handles.get(id);
    if (handle === undefined) throw new Misconfigured(`the master key ${id} left the token`);
    return handle;
  }
}

/** @throws Misconfigured when two keys have one label */
function handlesOf(token: Token, key: string): ReadonlyMap<string, bigint> {
  const ours = token
    .keys()
    .map(({ label, handle }) => ({ id: `${idPrefix}${label}`, handle }))
    .filter(({ id }) => numberOf(id, key) > 0)
    .sort((one, other) => numberOf(other.id, key) - numberOf(one.id, key));
  const handles = new Map(ours.map(({ id, handle }) => [id, handle]));
  if (handles.size === ours.length) return handles;
  throw new Misconfigured(`the token has several AES keys with one of the labels "${key}"`);
}

/** 1 for the first key, 0 for one that is not ours. */
function numberOf(id: string, key: string): number {
  const first = `${idPrefix}${key}`;
  if (id === first) return 1;
  if (!id.startsWith(`${first}-`)) return 0;
  const rest = id.slice(first.length + 1);
  return /^[1-9][0-9]{0,5}$/.test(rest) ? Number(rest) : 0;
}

/** @throws TokenError when the token cannot wrap and unwrap with it */
function tryOut(token: Token, handle: bigint): void {
  const about = Buffer.from("trial");
  token.decrypt(handle, token.encrypt(handle, randomBytes(keyBytes), about), about);
}
