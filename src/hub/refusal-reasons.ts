/** Why the inside refused a message: kept until the edge reports the refusal, for its trace. */

import type { MessageId } from "#model/mailbox";
import type { TraceStep } from "#model/trace";

/** Ours: the edge reports within seconds, and a reason that is lost costs a line of a trace. */
const mostKept = 1000;

export interface RefusalReasons {
  keep(id: MessageId, steps: readonly TraceStep[]): void;
  /** Those of our own program, once; the last step of the edge says what the sender was told. */
  completed(id: MessageId, steps: readonly TraceStep[]): readonly TraceStep[];
}

export function refusalReasons(): RefusalReasons {
  const kept = new Map<MessageId, readonly TraceStep[]>();
  return {
    keep(id, steps) {
      kept.set(
        id,
        steps.filter(({ program }) => program === "hub"),
      );
      const [oldest] = kept.keys();
      if (kept.size > mostKept && oldest !== undefined) kept.delete(oldest);
    },
    completed(id, steps) {
      const own = kept.get(id) ?? [];
      kept.delete(id);
      return [...steps.slice(0, -1), ...own, ...steps.slice(-1)];
    },
  };
}
