/** Envelopes and structures as FETCH writes them, kept for messages that are asked for again. */

import { formatEnvelope, formatString, formatStructure, type SimpleItem } from "#formats/imap";
import type { Description } from "#model/description";
import type { MessageId } from "#model/mailbox";

export type DescribedItem = Extract<SimpleItem, "ENVELOPE" | "BODY" | "BODYSTRUCTURE" | "PREVIEW">;

const described: readonly string[] = ["ENVELOPE", "BODY", "BODYSTRUCTURE", "PREVIEW"];

export function isDescribed(name: SimpleItem): name is DescribedItem {
  return described.includes(name);
}

/** A message never changes, so what was rendered stays right; the longest unused goes first. */
export class Rendered {
  readonly #limit: number;
  readonly #texts: Map<string, string> = new Map();
  #size = 0;

  /** @param limit in characters, for the whole server */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get(message: MessageId, name: DescribedItem): string | undefined {
    const key = `${name} ${message}`;
    const text = this.#texts.get(key);
    if (text === undefined) return undefined;
    this.#texts.delete(key);
    this.#texts.set(key, text);
    return text;
  }

  render(message: MessageId, name: DescribedItem, description: Description): string {
    const text = `${name} ${renderItem(description, name)}`;
    const key = `${name} ${message}`;
    this.#drop(key);
    this.#texts.set(key, text);
    this.#size += key.length + text.length;
    for (const [oldest] of this.#texts) {
      if (this.#size <= this.#limit) break;
      this.#drop(oldest);
    }
    return text;
  }

  /** What is deleted leaves memory too. */
  forget(message: MessageId): void {
    for (const name of described) this.#drop(`${name} ${message}`);
  }

  #drop(key: string): void {
    const text = this.#texts.get(key);
    if (text === undefined) return;
    this.#texts.delete(key);
    this.#size -= key.length + text.length;
  }
}

function renderItem({ envelope, root, preview }: Description, name: DescribedItem): string {
  switch (name) {
    case "ENVELOPE":
      return formatEnvelope(envelope);
    case "BODY":
    case "BODYSTRUCTURE":
      return formatStructure(root, name === "BODYSTRUCTURE");
    case "PREVIEW": // RFC 8970 §3: at most 200 characters
      return formatString(Array.from(preview).slice(0, 200).join(""));
  }
}
