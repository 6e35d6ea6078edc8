/**
 * The DKIM keys of each domain from their making to their end (RFC 6376 §3.6.1, RFC 8463):
 * pending until the DNS knows it, active, retiring while its signatures are still good, destroyed.
 */

import { hash, sign } from "node:crypto";
import { promisify } from "node:util";
import { Denied } from "#base/errors";
import { type KeptKey, type SigningKey, signatureValidMs } from "#contracts/keyring";
import { algorithms, KeyFolder } from "./key-folder.ts";
import type { Purpose } from "./key-states.ts";

/** Every act is durable when it resolves, and does nothing when it was done before. */
export interface Custody {
  readonly count: number;
  /** The keys that sign. */
  keys(domain: string): readonly SigningKey[];
  /** All that are not destroyed. */
  list(domain: string): readonly KeptKey[];
  /** Makes what is missing of the keys that sign. Undefined when no key can have that name. */
  make(domain: string, nowMs: number): Promise<readonly SigningKey[] | undefined>;
  /** Makes what is missing of the pending keys. Undefined when no key can have that name. */
  add(domain: string, nowMs: number): Promise<readonly KeptKey[] | undefined>;
  /** Those sign from now on; others of the same algorithm retire. @throws Denied without such a key */
  activate(domain: string, selectors: readonly string[], nowMs: number): Promise<void>;
  /** @throws Denied when one signs, or signed lately and `isForced` is false, or never was */
  retire(
    domain: string,
    selectors: readonly string[],
    how: { readonly nowMs: number; readonly isForced: boolean },
  ): Promise<void>;
  /** Undefined when there is no such key, or it is not active. */
  sign(domain: string, selector: string, octets: Buffer): Promise<Buffer> | undefined;
}

/** Ours, so that a file name holds it: 255 octets with selector and ending. */
const maxDomain = 230;
const domainName =
  /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

const signLater = promisify(sign);

/** @throws Misconfigured when a key cannot be read, or others than the owner can read it */
export async function openCustody(directory: string): Promise<Custody> {
  const folder = new KeyFolder(directory);
  await folder.destroyRetired();
  const inTurn = turns();
  const keys = (domain: string): readonly SigningKey[] =>
    folder.list(domain.toLowerCase()).flatMap(({ state, selector }) => {
      const held = state === "active" ? folder.held(domain.toLowerCase(), selector) : undefined;
      return held === undefined ? [] : [held.key];
    });
  return {
    get count() {
      return folder.count;
    },
    keys,
    list: (domain) => folder.list(domain.toLowerCase()),
    async make(given, nowMs) {
      const domain = nameOf(given);
      if (domain === undefined) return undefined;
      return await inTurn(domain, async () => {
        for (const algorithm of missing(folder.list(domain), "active")) {
          await folder.make(domain, folder.freeSelector(domain, algorithm, nowMs), algorithm);
        }
        return keys(domain);
      });
    },
    async add(given, nowMs) {
      const domain = nameOf(given);
      if (domain === undefined) return undefined;
      return await inTurn(domain, () => add(folder, domain, nowMs));
    },
    async activate(given, selectors, nowMs) {
      const domain = nameOf(given);
      if (domain === undefined) throw noDomain();
      await inTurn(domain, () => activate(folder, domain, selectors, nowMs));
    },
    async retire(given, selectors, how) {
      const domain = nameOf(given);
      if (domain === undefined) throw noDomain();
      await inTurn(domain, () => retire(folder, domain, selectors, how));
    },
    sign(domain, selector, octets) {
      const name = domain.toLowerCase();
      const state = folder.states(name).get(selector)?.state ?? "active";
      const one = folder.held(name, selector);
      if (one === undefined || state !== "active") return undefined;
      return one.key.algorithm === "rsa-sha256"
        ? signLater("sha256", octets, one.privateKey)
        : signLater(null, hash("sha256", octets, "buffer"), one.privateKey); // RFC 8463 §3
    },
  };
}

/** What is done to one domain happens one after the other. */
function turns(): <Value>(domain: string, act: () => Promise<Value>) => Promise<Value> {
  const last = new Map<string, Promise<unknown>>();
  return (domain, act) => {
    const before = last.get(domain) ?? Promise.resolve();
    const done = before.then(act, act);
    last.set(domain, done);
    const tidy = (): void => {
      if (last.get(domain) === done) last.delete(domain);
    };
    done.then(tidy, tidy);
    return done;
  };
}

function noDomain(): Denied {
  return new Denied("that is not a domain with keys");
}

/** File names begin with it. */
function nameOf(given: string): string | undefined {
  const domain = given.toLowerCase();
  return domain.length <= maxDomain && domainName.test(domain) ? domain : undefined;
}

function missing(
  keys: readonly KeptKey[],
  state: KeptKey["state"],
): readonly SigningKey["algorithm"][] {
  const has = (algorithm: SigningKey["algorithm"]): boolean =>
    keys.some((key) => key.algorithm === algorithm && key.state === state);
  return algorithms.filter((algorithm) => !has(algorithm));
}

async function add(folder: KeyFolder, domain: string, nowMs: number): Promise<readonly KeptKey[]> {
  const wanted = missing(folder.list(domain), "pending").map((algorithm) => {
    return { algorithm, selector: folder.freeSelector(domain, algorithm, nowMs) };
  });
  // First of all, so that a key which appears is never one that signs.
  const names = wanted.map(({ selector }) => selector);
  await change(folder, domain, names, { state: "pending", sinceMs: nowMs });
  for (const { algorithm, selector } of wanted) await folder.make(domain, selector, algorithm);
  return folder.list(domain).filter(({ state }) => state === "pending");
}

async function activate(
  folder: KeyFolder,
  domain: string,
  selectors: readonly string[],
  nowMs: number,
): Promise<void> {
  const all = folder.list(domain);
  const chosen = selectors.map((selector) => need(all, domain, selector));
  const states = new Map(folder.states(domain));
  for (const { selector, algorithm, state } of all) {
    const isChosen = selectors.includes(selector);
    const isReplaced = chosen.some((key) => key.algorithm === algorithm) && state === "active";
    if (isChosen && state !== "active") states.set(selector, { state: "active", sinceMs: nowMs });
    if (!isChosen && isReplaced) states.set(selector, { state: "retiring", sinceMs: nowMs });
  }
  await folder.setStates(domain, states);
}

/** The state goes first: what is half destroyed after a power cut is destroyed at the next start. */
async function retire(
  folder: KeyFolder,
  domain: string,
  selectors: readonly string[],
  { nowMs, isForced }: { readonly nowMs: number; readonly isForced: boolean },
): Promise<void> {
  const all = folder.list(domain);
  for (const selector of selectors) {
    if (folder.states(domain).get(selector)?.state === "retired") continue;
    const { state, sinceMs } = need(all, domain, selector);
    if (state === "active") {
      throw new Denied(`the key ${selector} of ${domain} signs: activate another one first`);
    }
    const goodUntilMs = (sinceMs ?? nowMs) + signatureValidMs;
    if (state === "retiring" && goodUntilMs > nowMs && !isForced) {
      const day = new Date(goodUntilMs).toISOString().slice(0, 16);
      throw new Denied(`signatures by ${selector} of ${domain} are good until ${day}Z`);
    }
  }
  await change(folder, domain, selectors, { state: "retired", sinceMs: nowMs });
  for (const selector of selectors) await folder.destroy(domain, selector);
}

function need(keys: readonly KeptKey[], domain: string, selector: string): KeptKey {
  const key = keys.find((one) => one.selector === selector);
  if (key === undefined) throw new Denied(`there is no key ${selector} of ${domain}`);
  return key;
}

/** Selectors that are in that state already keep the moment since when they are. */
async function change(
  folder: KeyFolder,
  domain: string,
  selectors: readonly string[],
  to: Purpose,
): Promise<void> {
  const before = folder.states(domain);
  const changed = selectors.filter((selector) => before.get(selector)?.state !== to.state);
  if (changed.length === 0) return;
  const next = changed.map((selector) => [selector, to] as const);
  await folder.setStates(domain, new Map([...before, ...next]));
}
