/** What the checks of senders found, from the counters of the edges and of the inside. */

import type { Sample } from "#base/measures";
import {
  type ArcVerdict,
  type DkimResult,
  type DmarcVerdict,
  type EvidenceType,
  hintTypes,
  type SenderIdStatus,
  type SenderOrigin,
  type SpfResult,
  senderIdStatuses,
  senderOrigins,
  spoofTypes,
} from "#model/verdict";

export interface SenderFigures {
  /** Messages that Sender ID was evaluated for: the sum of its ten statuses. */
  readonly validated: number;
  readonly senderId: readonly StatusFigure[];
  readonly results: readonly ResultFigure[];
  readonly evidence: readonly EvidenceFigure[];
}

export interface StatusFigure {
  readonly status: SenderIdStatus;
  readonly count: number;
  /** Of `validated`, 0 to 1. */
  readonly share: number;
}

/** DKIM has one result for each signature, the others one for each message. */
export interface ResultFigure {
  readonly method: "spf" | "dkim" | "dmarc" | "arc";
  readonly result: string;
  /** At the edge, also of mail that was refused. */
  readonly seen: number;
  /** Of mail that was taken in. */
  readonly accepted: number;
}

export interface EvidenceFigure {
  readonly type: EvidenceType;
  /** A suspected spoof, not just a hint for the reader. */
  readonly isSpoof: boolean;
  readonly count: number;
  readonly origins: Readonly<Record<SenderOrigin, number>>;
}

const spf: readonly SpfResult[] = [
  ...(["pass", "neutral", "softfail", "fail"] as const),
  ...(["none", "temperror", "permerror"] as const),
];
const dkim: readonly DkimResult[] = [
  ...(["pass", "neutral", "policy", "fail"] as const),
  ...(["none", "temperror", "permerror"] as const),
];
const dmarc: readonly DmarcVerdict["result"][] = ["pass", "fail", "none", "temperror", "permerror"];
const arc: readonly ArcVerdict["result"][] = ["pass", "fail", "none", "temperror"];
const methods = { spf, dkim, dmarc, arc } as const;

/**
 * Counters begin anew when their program does. What is asked for by name is counted, and nothing else:
 * an edge that is taken over cannot make the table longer.
 *
 * @param samples of the edges and the hub together; series of one name are added up
 */
export function senderFigures(samples: readonly Sample[]): SenderFigures {
  const total = (name: string, labels: Readonly<Record<string, string>>): number =>
    samples
      .filter((one) => one.name === name && holds(one.labels, labels))
      .reduce((sum, { value }) => sum + Math.max(0, value), 0);
  const counts = senderIdStatuses.map((status) => total("edge_sender_id_total", { status }));
  const validated = counts.reduce((sum, count) => sum + count, 0);
  return {
    validated,
    senderId: senderIdStatuses.map((status, at) => {
      const count = counts[at] ?? 0;
      return { status, count, share: validated === 0 ? 0 : count / validated };
    }),
    results: (["spf", "dkim", "dmarc", "arc"] as const).flatMap((method) =>
      methods[method].map((result) => ({
        ...{ method, result },
        seen: total("edge_verdicts_total", { method, result }),
        accepted: total("auth_results_total", { method, result }),
      })),
    ),
    evidence: [...spoofTypes, ...hintTypes].map((type) => {
      const origins = Object.fromEntries(
        senderOrigins.map((origin) => [origin, total("spoof_evidence_total", { type, origin })]),
      ) as Record<SenderOrigin, number>;
      const count = Object.values(origins).reduce((sum, one) => sum + one, 0);
      return { type, isSpoof: isSpoof(type), count, origins };
    }),
  };
}

function holds(labels: Sample["labels"], wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([name, value]) => labels[name] === value);
}

function isSpoof(type: EvidenceType): boolean {
  return (spoofTypes as readonly EvidenceType[]).includes(type);
}
