/** A master key that everybody knows: for tests, tools and measurements, never for mail. */

import type { Master } from "#contracts/keyring";
import { keyBytes } from "./cipher.ts";
import { masterOf } from "./memory-master.ts";

export const fixedMaster: Master = masterOf("fixed", Buffer.alloc(keyBytes, 7));
