/** What milters make of a message from outside: an opinion each, and fields for its top. */

import type { Clock } from "#base/clock";
import type { Net } from "#base/net";
import type { Values } from "#base/parameters";
import { claimsAuthservId } from "#formats/auth-results";
import type { Opinion } from "#model/decision";
import {
  askMilter,
  type Milter,
  type MilterAnswer,
  type MilterMail,
  type milterParameters,
  miltersOf,
} from "#transport/milter";

export type MilterSettings = Values<typeof milterParameters>;

export interface MiltersSaid {
  readonly opinions: readonly Opinion[];
  /** Whole header fields with their line ends, or "". */
  readonly head: string;
  /** For the trace, one sentence each. */
  readonly lines: readonly string[];
}

export interface Milters {
  /** How much of a message they look at; 0 where there is none to ask. */
  readonly maxBytes: number;
  ask(mail: MilterMail, authservId: string): Promise<MiltersSaid>;
}

/** @throws Misconfigured when one of them has no address */
export function createMilters(
  settings: MilterSettings,
  ports: { readonly net: Net; readonly clock: Clock },
): Milters {
  const milters = miltersOf(settings);
  const isStrict = settings.whenDown !== "pass";
  return {
    maxBytes: milters.length === 0 ? 0 : settings.maxBytes,
    async ask(mail, authservId) {
      // Each is shown the message as it came: none sees what another would add.
      const asked = milters.map(async (milter) =>
        weigh(milter, await askMilter(milter, mail, ports), { isStrict, authservId }),
      );
      const said = await Promise.all(asked);
      return {
        opinions: said.flatMap(({ opinions }) => opinions),
        head: said.map(({ head }) => head).join(""),
        lines: said.flatMap(({ lines }) => lines),
      };
    },
  };
}

function weigh(
  { name }: Milter,
  answer: MilterAnswer,
  { isStrict, authservId }: { readonly isStrict: boolean; readonly authservId: string },
): MiltersSaid {
  const opinion = (
    disposition: Opinion["disposition"],
    why: string,
    status: string,
  ): MiltersSaid => {
    const because = `milter ${name}: ${why}`;
    const opinions = [{ stage: "milter", disposition, because, status }];
    return { opinions, head: "", lines: [because] };
  };
  if (answer.kind === "unavailable") {
    // It will be as large the next time: trying again later helps nobody.
    if (answer.why === "too-large") return opinion("quarantine", "too large to be shown", "7.1");
    const disposition = isStrict ? "defer" : "accept";
    return opinion(disposition, `no answer (${answer.why})`, "3.0");
  }
  const { verdict, fields, refused } = answer;
  const why = "why" in verdict && verdict.why !== "" ? verdict.why : verdict.kind;
  const said = opinion(verdict.kind, why, "7.1");
  const added = fields.filter(
    ({ name: field, value }) =>
      field.toLowerCase() !== "authentication-results" || !claimsAuthservId(value, authservId),
  );
  const ours = fields.length - added.length;
  return {
    ...said,
    head: added.map(({ name: field, value }) => `${field}:${value}\r\n`).join(""),
    lines: [
      ...said.lines,
      ...refused.map((what) => `milter ${name}: not done: ${what}`),
      ...(ours > 0 ? [`milter ${name}: not done: ${ours} results in our own name`] : []),
    ],
  };
}
