/** What was found out about the sender: shape, colour and words together, outside the message. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Email, OpenEmail, SenderState } from "../types.ts";
import { authorsOf, fullName } from "../words.ts";
import { EvidenceList, FirstContact, Notices, posesAsAnother } from "./evidence.tsx";
import { type Drawing, Shape, type Tone } from "./mark.tsx";
import { SenderFacts } from "./sender-facts.tsx";

interface Look {
  readonly tone: Tone;
  readonly drawing: Drawing;
  /** Short, for the list. */
  readonly word: string;
}

const looks: Readonly<Record<SenderState, Look>> = {
  verified: { tone: "verified", drawing: "check", word: "Verified domain" },
  "verified-other": { tone: "info", drawing: "arrow", word: "Verified, sent via another" },
  internal: { tone: "info", drawing: "building", word: "Inside your organisation" },
  "not-verifiable": { tone: "unverified", drawing: "circle", word: "Cannot be checked" },
  "not-checked": { tone: "unverified", drawing: "hourglass", word: "Not checked" },
  "not-verified": { tone: "caution", drawing: "triangle", word: "Not confirmed" },
  forged: { tone: "danger", drawing: "octagon", word: "Forged" },
};
/** Whoever owns a domain can verify it, also one that only looks like another. */
const posing: Look = { tone: "danger", drawing: "octagon", word: "Looks like another sender" };

function IdentityMark({ look }: { readonly look: Look }): JSX.Element {
  return (
    <span class={`identity-mark ${look.tone}`} title={look.word}>
      <Shape drawing={look.drawing} />
      <span class="spoken">{look.word}.</span>
    </span>
  );
}

/** Where there is room for one shape: the gravest. */
function lookOf(email: Email): Look {
  const isPosing = email.senderState !== "forged" && posesAsAnother(email) !== undefined;
  return isPosing ? posing : looks[email.senderState];
}

export function ListedMark({ email }: { readonly email: Email }): JSX.Element {
  return <IdentityMark look={lookOf(email)} />;
}

/** One row under From, with the whole story behind a button. */
export function IdentityLine({ email }: { readonly email: OpenEmail }): JSX.Element {
  const [shown, setShown] = useState(false);
  const look = lookOf(email);
  return (
    <div class={`identity ${look.tone}`}>
      <button
        type="button"
        class="identity-line"
        aria-expanded={shown}
        onClick={() => setShown(!shown)}
      >
        <IdentityMark look={look} />
        <span>{email.senderText}</span>
        <span class="identity-more">{shown ? "Less" : "Why?"}</span>
      </button>
      <FirstContact email={email} />
      <Notices email={email} />
      {shown && (
        <section class="panel" aria-label="About the sender">
          <p>{email.senderText}</p>
          <EvidenceList email={email} />
          <SenderFacts email={email} />
        </section>
      )}
    </div>
  );
}

export function Sender({ email }: { readonly email: OpenEmail }): JSX.Element {
  return (
    <strong class="sender">{authorsOf(email).map(fullName).join(", ") || "(no sender)"}</strong>
  );
}
