/** What speaks for deception, and what a reader may want to know: each with its shape and a sentence. */

import type { JSX } from "preact";
import type { Email, Evidence, EvidenceType } from "../types.ts";
import { type Drawing, Shape, type Tone } from "./mark.tsx";

interface Kind {
  readonly tone: Extract<Tone, "danger" | "caution" | "info">;
  readonly word: string;
}

const kinds: Readonly<Record<EvidenceType, Kind>> = {
  "own-domain": { tone: "danger", word: "Claims to be your own organisation" },
  "dmarc-fail": { tone: "danger", word: "Denied by its domain" },
  "look-alike-domain": { tone: "danger", word: "Look-alike domain" },
  "ambiguous-author": { tone: "caution", word: "No single author" },
  "name-holds-address": { tone: "caution", word: "Name shows another address" },
  "name-of-ours": { tone: "caution", word: "Name of somebody here" },
  "deceptive-characters": { tone: "caution", word: "Deceptive characters" },
  "first-contact": { tone: "info", word: "First contact" },
  "reply-elsewhere": { tone: "info", word: "Answers go elsewhere" },
  "payment-change": { tone: "info", word: "Speaks of a payment" },
  "via-other-domain": { tone: "info", word: "Sent by way of another domain" },
};

const drawings: Readonly<Record<Kind["tone"], Drawing>> = {
  danger: "octagon",
  caution: "triangle",
  info: "note",
};

function isSuspicion({ type }: Evidence): boolean {
  return kinds[type].tone !== "info";
}

/** Suspicions first. */
function ordered(all: readonly Evidence[]): readonly Evidence[] {
  return [...all.filter(isSuspicion), ...all.filter((one) => !isSuspicion(one))];
}

/** What must not wait behind a button: suspicions that the line does not tell, and one calm notice. */
export function Notices({ email }: { readonly email: Email }): JSX.Element | null {
  const { senderEvidence: all, senderText } = email;
  const shown = ordered(all).filter(
    (one) => one.type === "payment-change" || (isSuspicion(one) && !senderText.includes(one.text)),
  );
  if (shown.length === 0) return null;
  return (
    <ul class="sender-notices">
      {shown.map((one) => (
        <li key={one.type} class={kinds[one.type].tone}>
          <Shape drawing={drawings[kinds[one.type].tone]} />
          <span>{one.text}</span>
        </li>
      ))}
    </ul>
  );
}

export function FirstContact({ email }: { readonly email: Email }): JSX.Element | null {
  const found = email.senderEvidence.find(({ type }) => type === "first-contact");
  if (found === undefined) return null;
  return <Chip evidence={found} />;
}

function Chip({ evidence }: { readonly evidence: Evidence }): JSX.Element {
  const { tone, word } = kinds[evidence.type];
  return (
    <span class={`chip ${tone}`} title={evidence.text}>
      <Shape drawing={drawings[tone]} />
      {word}
    </span>
  );
}

/** All of it. */
export function EvidenceList({ email }: { readonly email: Email }): JSX.Element | null {
  const all = ordered(email.senderEvidence);
  if (all.length === 0) return null;
  return (
    <ul class="evidence" aria-label="What stands out">
      {all.map((one) => (
        <li key={one.type}>
          <Chip evidence={one} />
          <span>{one.text}</span>
        </li>
      ))}
    </ul>
  );
}

/** These lead somewhere else than one thinks: links wait for the reader's word. */
export function posesAsAnother(email: Email): Evidence | undefined {
  return email.senderEvidence.find(
    ({ type }) => type === "look-alike-domain" || type === "own-domain",
  );
}
