/** What having heads cosigned tells: log records and measures together. */

import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { WitnessFault } from "#contracts/witness";

/** What the witness says, and what we find ourselves in what it says or in what we have. */
export type WitnessRefusal =
  | WitnessFault
  /** What we have does not continue the head that was cosigned last: nothing was sent. */
  | "own-history"
  /** The keyring remembers another past, and signs no head that goes back behind it. */
  | "keyring"
  /** It remembers nothing of a log that it has cosigned before. It goes on from here. */
  | "forgot"
  /** Cosigned, but not by the keys that we know it by. */
  | "other-witness"
  | "misshapen";

export interface WitnessEvents {
  cosigned(size: number, timeS: number): void;
  refused(reason: WitnessRefusal, size: number): void;
  /** Nobody said no, and yet there is no cosignature. */
  failed(error: unknown): void;
}

/** Comes by itself and goes by itself; each other refusal needs a look. */
export function isPassing(reason: WitnessRefusal): boolean {
  return reason === "not-ready" || reason === "old-size";
}

export function witnessEvents(log: Log, registry: Registry): WitnessEvents {
  const heads = registry.counter("witness_heads", "Heads sent to the witness, by outcome");
  const refusals = registry.counter("witness_refused", "Heads the witness refused, by reason");
  const size = registry.gauge("witness_size", "Leaves below the last cosigned head");
  const at = registry.gauge("witness_cosigned_at", "When that was, seconds since 1970 UTC");
  return {
    cosigned(leaves, timeS) {
      heads.add({ outcome: "cosigned" });
      size.set(leaves);
      at.set(timeS);
      log.write("debug", "witness.cosigned", { size: leaves });
    },
    refused(reason, leaves) {
      heads.add({ outcome: "refused" });
      refusals.add({ reason });
      const level = isPassing(reason) ? "warn" : "error";
      log.write(level, "witness.refused", { reason, size: leaves });
    },
    failed(error) {
      heads.add({ outcome: "failed" });
      log.write("warn", "witness.failed", { why: String(error) });
    },
  };
}
