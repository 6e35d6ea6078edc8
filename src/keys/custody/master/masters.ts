/** The master keys of all sources that are there: one source wraps, every key unwraps. */

import { Denied, Misconfigured } from "#base/errors";
import { type Master, type MasterIds, UnknownMaster, WrapDamaged } from "#contracts/keyring";
import { hasCredential, openCredential } from "./credential-source.ts";
import { openFiles } from "./file-source.ts";
import { keyBytes, type MasterSource } from "./source.ts";
import { openTokenSource, type TokenSettings } from "./token-source.ts";

export interface MasterSettings {
  /** Which source wraps; what the others wrapped is still unwrapped. */
  readonly source: "file" | "credential" | "pkcs11";
  /** Where master keys in files lie. */
  readonly directory: string;
  /** The service manager's $CREDENTIALS_DIRECTORY for this process. */
  readonly credentials?: string;
  readonly token?: TokenSettings;
}

/** What the keyring does with master keys beyond using them. */
export interface Masters extends Master, AsyncDisposable {
  /** For people. */
  readonly source: string;
  ids(): MasterIds;
  /**
   * Makes a new key unless the current one is no longer that one.
   *
   * @returns the id of the current key
   */
  rotate(from: string): Promise<string>;
  retire(id: string): Promise<void>;
}

/** The same source as the keyring's, for commands that run while it is stopped. */
export type OpenMaster = Master & AsyncDisposable;

/**
 * @param onFirst as of `openMasters`
 * @throws Misconfigured or Unavailable naming the source that failed
 */
export async function openMaster(
  settings: MasterSettings,
  onFirst?: (id: string, source: string) => void,
): Promise<OpenMaster> {
  return await openMasters(settings, onFirst);
}

/** @param onFirst told of a key in a file that is made when there is none; without it none is made */
export async function openMasters(
  settings: MasterSettings,
  onFirst?: (id: string, source: string) => void,
): Promise<Masters> {
  const sources = await openSources(settings);
  const [wrapping] = sources;
  if (wrapping.ids().length === 0) {
    if (onFirst === undefined) throw new Misconfigured(`${wrapping.name} holds no master key`);
    onFirst(await wrapping.make(), wrapping.name);
  }
  return mastersOf(sources);
}

type Sources = readonly [wrapping: MasterSource, ...others: MasterSource[]];

async function openSources(settings: MasterSettings): Promise<Sources> {
  const { source, directory, credentials, token } = settings;
  const files = openFiles(directory);
  const needsCredential = source === "credential" || hasCredential(credentials);
  const credential = needsCredential ? [openCredential(credentials)] : [];
  if (source === "pkcs11" && token === undefined) {
    throw new Misconfigured("keyring.tokenModule names no PKCS#11 library");
  }
  const tokens = token === undefined ? [] : [await openTokenSource(token, credentials)];
  const chosen = { file: [files], credential, pkcs11: tokens }[source];
  const all = [...chosen, files, ...credential, ...tokens];
  return [...new Set(all)] as readonly MasterSource[] as Sources;
}

function mastersOf(sources: Sources): Masters {
  const [wrapping] = sources;
  const current = (): string => wrapping.ids()[0] ?? "";
  const holderOf = (id: string): MasterSource | undefined =>
    sources.find((source) => source.ids().includes(id));
  let changing: Promise<unknown> = Promise.resolve();
  const inTurn = <Value>(act: () => Promise<Value>): Promise<Value> => {
    const done = changing.then(act);
    changing = done.catch(() => undefined);
    return done;
  };
  return {
    source: wrapping.name,
    ids: () => ({
      current: current(),
      held: [...new Set(sources.flatMap((source) => source.ids()))],
    }),
    async wrapKey(key, purpose) {
      checkPurpose(purpose);
      if (key.length !== keyBytes) throw new Denied("only keys of 32 octets are wrapped");
      const master = current();
      return { master, wrapped: await wrapping.wrap(master, key, purpose) };
    },
    async unwrapKey({ master, wrapped }, purpose) {
      checkPurpose(purpose);
      const holder = holderOf(master);
      if (holder === undefined) throw unknown(master, sources);
      const key = await holder.unwrap(master, wrapped, purpose);
      if (key !== undefined) return key;
      throw new WrapDamaged(
        `what the master key ${master} wrapped for "${purpose}" was changed, or wrapped for something else`,
      );
    },
    rotate: (from) => inTurn(async () => (current() === from ? await wrapping.make() : current())),
    retire: (id) =>
      inTurn(async () => {
        if (id === current()) throw new Denied(`the master key ${id} is the current one`);
        await holderOf(id)?.retire(id);
      }),
    async [Symbol.asyncDispose]() {
      for (const source of sources) await source.close();
    },
  };
}

const purposeForm = /^[\x20-\x7e]{1,128}$/;

function checkPurpose(purpose: string): void {
  if (!purposeForm.test(purpose)) throw new Denied("a purpose is 1 to 128 printable characters");
}

const shownId = /^[\w.:-]{1,100}$/;

function unknown(id: string, sources: Sources): UnknownMaster {
  const shown = shownId.test(id) ? id : "(unreadable)";
  const open = sources.map(({ name }) => name).join(", ");
  return new UnknownMaster(
    shown,
    `the master key ${shown} is not there (looked in ${open}): put back the file, the credential or the token that holds it, then restart`,
  );
}
