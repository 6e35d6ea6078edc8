/** What was found out about the sender: shape, colour and words together, outside the message. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { OpenEmail, SenderState } from "../types.ts";
import { domainOf, fullName, nameList } from "../words.ts";

interface Look {
  readonly tone: "verified" | "info" | "unverified" | "caution" | "danger";
  readonly shape: string;
  /** Short, for the list. */
  readonly word: string;
}

const looks: Readonly<Record<SenderState, Look>> = {
  verified: {
    tone: "verified",
    shape: "M8 1.500 14 8l-6 6.500L2 8zM5.500 8l2 2 3.300-3.600",
    word: "Verified domain",
  },
  "verified-other": {
    tone: "info",
    shape: "M2 8h11M9 4l4 4-4 4",
    word: "Verified, sent via another",
  },
  internal: {
    tone: "info",
    shape: "M3 14V3h7v11M10 7h3v7M1.500 14h13M5.500 5.500h2M5.500 8h2M5.500 10.500h2",
    word: "Inside your organisation",
  },
  "not-verifiable": {
    tone: "unverified",
    shape: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12z",
    word: "Cannot be checked",
  },
  "not-checked": {
    tone: "unverified",
    shape: "M4 2h8M4 14h8M5 2v2.500L11 11.500V14M11 2v2.500L5 11.500V14",
    word: "Not checked",
  },
  "not-verified": {
    tone: "caution",
    shape: "M8 2 15 14H1zM8 6.500v3.500M8 12v.3",
    word: "Not confirmed",
  },
  forged: {
    tone: "danger",
    shape: "M5.200 1.500h5.600l3.700 3.700v5.600l-3.700 3.700H5.200l-3.700-3.700V5.200z",
    word: "Forged",
  },
};

export function IdentityMark({ state }: { readonly state: SenderState | undefined }): JSX.Element {
  const look = looks[state ?? "not-checked"] ?? looks["not-checked"];
  const dashed = state === "not-verifiable";
  return (
    <span class={`identity-mark ${look.tone}`} title={look.word}>
      <svg viewBox="0 0 16 16" aria-hidden="true" class={state === "forged" ? "filled" : ""}>
        <path d={look.shape} stroke-dasharray={dashed ? "2.2 2.200" : undefined} />
        {state === "forged" && <path class="inner" d="M8 4.500v4.200M8 11v.4" />}
      </svg>
      <span class="spoken">{look.word}.</span>
    </span>
  );
}

/** One row under From, with the whole story behind a button. */
export function IdentityLine({ email }: { readonly email: OpenEmail }): JSX.Element {
  const [shown, setShown] = useState(false);
  const look = looks[email.senderState ?? "not-checked"] ?? looks["not-checked"];
  return (
    <div class={`identity ${look.tone}`}>
      <button
        type="button"
        class="identity-line"
        aria-expanded={shown}
        onClick={() => setShown(!shown)}
      >
        <IdentityMark state={email.senderState} />
        <span>{sentence(email)}</span>
        <span class="identity-more">{shown ? "Less" : "Why?"}</span>
      </button>
      {shown && <IdentityPanel email={email} />}
    </div>
  );
}

function sentence(email: OpenEmail): string {
  if (email.senderText) return email.senderText;
  const domain = domainOf(email.from?.[0]);
  switch (email.senderState) {
    case "verified":
      return `Sent by ${domain}`;
    case "verified-other":
      return `From ${domain}, sent by way of another server`;
    case "internal":
      return "Inside your organisation";
    case "not-verifiable":
      return `${domain} does not let us check senders`;
    case "not-verified":
      return `We could not confirm this came from ${domain}`;
    case "forged":
      return `${domain} says this is not from them`;
    default:
      return "The sender was not checked";
  }
}

function IdentityPanel({ email }: { readonly email: OpenEmail }): JSX.Element {
  const rows: readonly (readonly [string, string])[] = [
    ["From", nameList(email.from) || "nobody named"],
    ["Replies go to", nameList(email.replyTo ?? email.from)],
    ["Message-ID", email.messageId?.join(" ") ?? "none"],
    ["Results", email.results?.replace(/\s+/g, " ").trim() || "no results were recorded"],
  ];
  const text = rows.map(([name, value]) => `${name}: ${value}`).join("\n");
  return (
    <div class="panel">
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <button type="button" class="quiet" onClick={() => void navigator.clipboard.writeText(text)}>
        Copy
      </button>
    </div>
  );
}

export function Sender({ email }: { readonly email: OpenEmail }): JSX.Element {
  return <strong class="sender">{email.from?.map(fullName).join(", ") || "(no sender)"}</strong>;
}
