/** Policies that were fetched, kept over restarts in one file, bounded (RFC 8461 §3.3, §5.1). */

import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, renameSync, statSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { isPattern, longestMaxAge, type StsPolicy } from "#formats/mta-sts";

export interface StsEntry {
  readonly domain: string;
  /** Of the TXT record that led to it. */
  readonly id: string;
  readonly policy: StsPolicy;
  readonly fetchedAtMs: number;
  readonly usedAtMs: number;
}

/** Ours. */
export interface BookLimits {
  readonly entries: number;
  /** Of all of them as JSON. */
  readonly characters: number;
}

const bookLimits: BookLimits = { entries: 10_000, characters: 8 * 1024 * 1024 };

const version = 1;
const maxFileBytes = 64 * 1024 * 1024;

export class StsBook {
  readonly #path: string;
  readonly #limits: BookLimits;
  readonly #entries = new Map<string, StsEntry>();
  #characters = 0;
  #saving: Promise<void> = Promise.resolve();
  #isChanged = false;

  /**
   * @param path "" keeps nothing over a restart
   * @throws Error when the file is there and cannot be read; it is left as it is
   */
  constructor(path: string, nowMs: number, limits: BookLimits = bookLimits) {
    this.#path = path;
    this.#limits = limits;
    if (path === "" || !existsSync(path)) return;
    if (statSync(path).size > maxFileBytes) throw new Error("larger than it can be");
    const saved = JSON.parse(readFileSync(path, "utf8")) as {
      version?: unknown;
      entries?: unknown;
    };
    if (saved.version !== version || !Array.isArray(saved.entries)) throw new Error("not of ours");
    for (const entry of saved.entries) {
      if (!isEntry(entry)) throw new Error("an entry of no known shape");
      // A clock that went back would else keep a policy longer than it may live.
      this.put({ ...entry, fetchedAtMs: Math.min(entry.fetchedAtMs, nowMs) }, nowMs);
    }
  }

  /** That may still be used. */
  live(domain: string, nowMs: number): StsEntry | undefined {
    const entry = this.#entries.get(domain);
    if (entry === undefined || nowMs >= endOf(entry)) return undefined;
    return entry;
  }

  all(): readonly StsEntry[] {
    return [...this.#entries.values()];
  }

  used(domain: string, nowMs: number): void {
    const entry = this.#entries.get(domain);
    if (entry === undefined) return;
    // In order of use: the first is the one that nobody has asked for longest.
    this.#entries.delete(domain);
    this.#entries.set(domain, { ...entry, usedAtMs: nowMs });
    this.#isChanged = true;
  }

  /** One more may cost another: first one that is over, then the one unused for longest. */
  put(entry: StsEntry, nowMs: number): void {
    this.#remove(entry.domain);
    this.#entries.set(entry.domain, entry);
    this.#characters += sizeOf(entry);
    this.#isChanged = true;
    const { entries, characters } = this.#limits;
    const isFull = (): boolean => this.#entries.size > entries || this.#characters > characters;
    if (!isFull()) return;
    for (const old of this.all()) if (nowMs >= endOf(old)) this.#remove(old.domain);
    for (const { domain } of this.all()) {
      if (!isFull()) return;
      if (domain !== entry.domain) this.#remove(domain);
    }
  }

  #remove(domain: string): void {
    const entry = this.#entries.get(domain);
    if (entry === undefined) return;
    this.#entries.delete(domain);
    this.#characters -= sizeOf(entry);
  }

  /** The file has what was there when this was called, or what it had before. */
  save(): Promise<void> {
    const save = async (): Promise<void> => {
      if (this.#path === "" || !this.#isChanged) return;
      this.#isChanged = false;
      const text = JSON.stringify({ version, entries: this.all() });
      const fresh = `${this.#path}.${randomUUID()}.new`;
      {
        await using file = await open(fresh, "wx", 0o600);
        await file.writeFile(text);
        await file.sync();
      }
      await rename(fresh, this.#path);
    };
    this.#saving = this.#saving.catch(() => {}).then(save);
    return this.#saving;
  }
}

function endOf({ fetchedAtMs, policy }: StsEntry): number {
  return fetchedAtMs + policy.maxAge * 1000;
}

/** What it adds, about. */
function sizeOf({ domain, policy }: StsEntry): number {
  return policy.mx.reduce((sum, pattern) => sum + pattern.length + 3, 150 + domain.length);
}

function isEntry(value: unknown): value is StsEntry {
  const { domain, id, policy, fetchedAtMs, usedAtMs } = (value ?? {}) as Partial<StsEntry>;
  const { mode, mx, maxAge } = (policy ?? {}) as Partial<StsPolicy>;
  return (
    typeof domain === "string" &&
    typeof id === "string" &&
    Number.isSafeInteger(fetchedAtMs) &&
    Number.isSafeInteger(usedAtMs) &&
    (mode === "enforce" || mode === "testing" || mode === "none") &&
    Array.isArray(mx) &&
    mx.every((pattern) => typeof pattern === "string" && isPattern(pattern)) &&
    Number.isSafeInteger(maxAge) &&
    (maxAge as number) >= 0 &&
    (maxAge as number) <= longestMaxAge
  );
}

/** A file that cannot be read is put aside: mail must flow, and policies are found again. */
export function openStsBook(
  path: string,
  nowMs: number,
  putAside: (aside: string, error: unknown) => void,
): StsBook {
  try {
    return new StsBook(path, nowMs);
  } catch (error) {
    const aside = `${path}.${nowMs}.unreadable`;
    renameSync(path, aside);
    putAside(aside, error);
    return new StsBook(path, nowMs);
  }
}
