/** A store's keys as the octets of an object, which is sealed to the recovery key. */

import { Buffer } from "node:buffer";
import type { KeptKeys } from "#store";

const keyBytes = 32;
const idBytes = 8;
/** A key has less than 100 characters: enough for 150,000 epochs. */
export const maxKeysBytes: number = 16 * 1024 * 1024;

export function formatKeptKeys({ storeId, storeKey, epochs, destroyed }: KeptKeys): Buffer {
  const keys = [...epochs].map(([epoch, key]) => [epoch, key.toString("base64")]);
  return Buffer.from(
    JSON.stringify({
      keys: 1,
      storeId: storeId.toString("hex"),
      storeKey: storeKey.toString("base64"),
      epochs: keys,
      destroyed,
    }),
  );
}

/** @param octets untrusted: anybody can seal to a public key */
export function parseKeptKeys(octets: Buffer): KeptKeys | undefined {
  const parsed = parsedJson(octets);
  if (parsed?.["keys"] !== 1) return undefined;
  const storeId = octetsIn(parsed["storeId"], "hex", idBytes);
  const storeKey = octetsIn(parsed["storeKey"], "base64", keyBytes);
  const epochs = epochsIn(parsed["epochs"]);
  const destroyed = parsed["destroyed"];
  if (storeId === undefined || storeKey === undefined || epochs === undefined) return undefined;
  if (!Array.isArray(destroyed) || !destroyed.every(isEpoch)) return undefined;
  return { storeId, storeKey, epochs, destroyed };
}

/** Nobody finds in memory what is needed no more. */
export function wipe({ storeKey, epochs }: KeptKeys): void {
  storeKey.fill(0);
  for (const key of epochs.values()) key.fill(0);
}

function parsedJson(octets: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(octets));
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** At least one: a store always has the epoch of now. */
function epochsIn(value: unknown): Map<number, Buffer> | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const epochs = new Map<number, Buffer>();
  for (const one of value as unknown[]) {
    if (!Array.isArray(one) || one.length !== 2) return undefined;
    const [epoch, text] = one as unknown[];
    const key = octetsIn(text, "base64", keyBytes);
    if (!isEpoch(epoch) || epochs.has(epoch) || key === undefined) return undefined;
    epochs.set(epoch, key);
  }
  return epochs;
}

function octetsIn(value: unknown, encoding: "hex" | "base64", length: number): Buffer | undefined {
  if (typeof value !== "string" || value.length > 2 * length) return undefined;
  const octets = Buffer.from(value, encoding);
  return octets.length === length && octets.toString(encoding) === value ? octets : undefined;
}

function isEpoch(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}
