/** A master key that lives in memory only: what it wrapped is lost with the process. */

import { Misconfigured } from "#base/errors";
import type { Random } from "#base/random";
import type { Master } from "#contracts/keyring";
import { aesGcm, keyBytes, seal, unseal } from "./cipher.ts";

export function memoryMaster(random: Random): Master {
  return masterOf("memory", random.bytes(keyBytes));
}

/** @param id that what it wraps bears */
export function masterOf(id: string, key: Buffer): Master {
  return {
    async wrapKey(plain, purpose) {
      return { master: id, wrapped: seal(aesGcm, key, plain, Buffer.from(purpose)) };
    },
    async unwrapKey({ wrapped }, purpose) {
      const plain = unseal(aesGcm, key, wrapped, Buffer.from(purpose));
      if (plain === undefined) throw new Misconfigured("another master key wrapped this");
      return plain;
    },
  };
}
