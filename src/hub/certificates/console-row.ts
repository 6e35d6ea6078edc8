/** One line for the console: are the certificates good? */

import type { PkiState } from "./index.ts";

/** A line of the console's health table. */
export interface CertificateRow {
  readonly question: string;
  readonly state: "good" | "caution" | "danger";
  readonly answer: string;
}

export function certificateRow({ places }: PkiState): CertificateRow {
  const question = "Are the certificates good?";
  const told = places.flatMap(({ place, findings }) =>
    findings.map((one) => ({ ...one, text: `${place}: ${one.text}` })),
  );
  const worst =
    told.find(({ level }) => level === "critical") ?? told.find(({ level }) => level === "warning");
  if (worst !== undefined) {
    return {
      question,
      state: worst.level === "critical" ? "danger" : "caution",
      answer: worst.text,
    };
  }
  const days = places.flatMap(({ served }) => (served === undefined ? [] : [served.daysLeft]));
  return { question, state: "good", answer: `yes, for ${Math.min(...days)} days and more` };
}
