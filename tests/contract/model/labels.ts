/** Names for what each engine names as it likes: ids and numbers, by when they were first seen. */

import { createHash } from "node:crypto";

type Value = string | number;

export class Labels {
  readonly #seen = new Map<string, Value[]>();
  readonly #accountOf = new Map<unknown, string>();

  /** The label of a value, given now if need be. */
  of(kind: string, value: Value): string {
    const seen = this.#kind(kind);
    const index = seen.indexOf(value);
    return `${kind} ${index < 0 ? seen.push(value) - 1 : index}`;
  }

  /** Every value of the kind, in the order in which they were first seen. */
  all(kind: string): readonly Value[] {
    return this.#kind(kind);
  }

  modSeqs(account: string): readonly number[] {
    return this.all(`modSeq of ${account}`) as number[];
  }

  /** So that the next one seen is the first. */
  forgetModSeqs(account: string): void {
    this.#seen.delete(`modSeq of ${account}`);
  }

  accountOf(mailbox: string): string | undefined {
    return this.#accountOf.get(mailbox);
  }

  /** Labels of all numbers by size: what is later is higher, in every engine. */
  order(): Readonly<Record<string, string>> {
    const numbered = [...this.#seen].filter(([, [first]]) => typeof first === "number");
    return Object.fromEntries(
      numbered.map(([kind, seen]) => {
        const sorted = (seen as number[]).toSorted((one, two) => one - two);
        return [kind, sorted.map((value) => seen.indexOf(value)).join(" ")];
      }),
    );
  }

  /** An answer in labels; octets as their hash, flags and what is under `unordered` sorted. */
  label(value: unknown, account?: string): unknown {
    if (Array.isArray(value)) return value.map((one) => this.label(one, account));
    if (value instanceof Uint8Array) {
      return `${value.length} octets ${createHash("sha256").update(value).digest("hex")}`;
    }
    if (typeof value !== "object" || value === null) return value;
    const record = value as Readonly<Record<string, unknown>>;
    const isMailbox = "uidValidity" in record;
    if (isMailbox) this.#accountOf.set(record["id"], String(record["account"]));
    const owner =
      (record["account"] as string | undefined) ??
      this.#accountOf.get(record["mailbox"]) ??
      account;
    const known = Object.entries(record)
      .filter(([, one]) => one !== undefined)
      .sort(([one], [two]) => (one < two ? -1 : 1));
    return Object.fromEntries(
      known.map(([key, one]) => [
        key,
        this.#labelled(isMailbox && key === "id" ? "mailbox" : key, one, owner),
      ]),
    );
  }

  #labelled(key: string, value: unknown, account: string | undefined): unknown {
    const each = (kind: string): unknown[] =>
      (value as unknown[]).map((one) =>
        typeof one === "string" ? this.of(kind, one) : this.label(one, account),
      );
    switch (key) {
      case "mailbox":
      case "message":
      case "uidValidity":
        return this.of(key, value as Value);
      case "modSeq":
      case "highestModSeq":
        return this.of(`modSeq of ${account}`, value as number);
      case "mailboxes":
      case "removedMailboxes":
        return each("mailbox");
      case "expunged":
        return each("message");
      case "flags":
        return (value as string[]).toSorted();
      case "unordered":
        return sorted(this.label(value, account));
      default:
        return this.label(value, account);
    }
  }

  #kind(kind: string): Value[] {
    const seen = this.#seen.get(kind) ?? [];
    this.#seen.set(kind, seen);
    return seen;
  }
}

/** Lists sorted, also those that are properties. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.toSorted((one, two) => (JSON.stringify(one) < JSON.stringify(two) ? -1 : 1));
  }
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, sorted(one)]));
}
