/** The facts behind the sentence about the sender: what the message claims, and what each check found. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { OpenEmail, SenderCheck, SenderPartner } from "../types.ts";
import { authorsOf, cleanName, fullName, nameList } from "../words.ts";

interface Fact {
  readonly name: string;
  readonly words: string;
  /** Said more softly, behind the words. */
  readonly why?: string;
  readonly list?: readonly string[];
}

const origins: Readonly<Record<OpenEmail["senderOrigin"], string>> = {
  inside: "inside: with a login of your organisation",
  outside: "outside",
  partner: "a partner, over a connection of its own",
  forwarded: "outside, passed on by a list or another server",
  unknown: "unknown",
};

const methods: readonly (readonly [SenderCheck["method"], string])[] = [
  ["auth", "Login"],
  ["spf", "SPF"],
  ["dkim", "DKIM"],
  ["dmarc", "DMARC"],
  ["arc", "ARC"],
  ["connector", "Partner's certificate"],
  ["sender-id", "Sender ID (legacy)"],
];

function factsOf(email: OpenEmail): readonly Fact[] {
  const { senderChecks: checks } = email;
  const signers = checks.filter(({ method, result }) => method === "dkim" && result === "pass");
  const pra = checks.find(({ method }) => method === "sender-id");
  const signedBy = [...new Set(signers.map(({ judged }) => judged))].join(", ");
  const replies = nameList(email.replyTo);
  const facts: (Fact | false)[] = [
    { name: "From", words: authorsOf(email).map(fullName).join(", ") || "nobody named" },
    replies !== "" && { name: "Replies go to", words: replies },
    pra !== undefined && { name: "Responsible (PRA)", words: pra.judged || "nobody named" },
    email.returnPath !== null && { name: "Return path", words: returnPath(email.returnPath) },
    checks.length > 0 && { name: "Signed by", words: signedBy || "nobody" },
    ...methods.flatMap(([method, name]) =>
      checks.filter((one) => one.method === method).map((one) => checkFact(name, one)),
    ),
    checks.length === 0 && { name: "Checks", words: "none were made" },
    { name: "Came from", words: origins[email.senderOrigin] },
    email.senderPartner !== null && partnerFact(email.senderPartner),
    spamFact(email),
    { name: "Message-ID", words: email.messageId?.join(" ") || "none" },
  ];
  return facts.filter((one) => one !== false);
}

function returnPath(field: string): string {
  const address = field.trim().replace(/^<(.*)>$/, "$1");
  return address === "" ? "none: a notice" : cleanName(address);
}

function checkFact(name: string, { result, judged, why }: SenderCheck): Fact {
  return { name, words: [result, cleanName(judged)].filter(Boolean).join(" · "), why };
}

function partnerFact({ connector, identity, by }: SenderPartner): Fact {
  const proof = by === "login" ? `login ${identity}` : `certificate ${identity}`;
  return { name: "Partner", words: connector, why: proof };
}

function spamFact({ spamLevel, spamReasons }: OpenEmail): Fact | false {
  if (spamLevel === null) return false;
  const list = spamReasons.map(({ points, text }) => `${signed(points)} ${text}`);
  return { name: "Spam level", words: `${spamLevel} of 9`, list };
}

function signed(points: number): string {
  return points < 0 ? `−${-points}` : `+${points}`;
}

function plainText(email: OpenEmail, facts: readonly Fact[], raw: string): string {
  const evidence = email.senderEvidence.map(({ text }) => `- ${text}`);
  const lines = facts.map(({ name, words, why, list = [] }) =>
    [`${name}: ${words}${why ? ` (${why})` : ""}`, ...list.map((one) => `  ${one}`)].join("\n"),
  );
  return [email.senderText, ...evidence, ...lines, raw].join("\n");
}

export function SenderFacts({ email }: { readonly email: OpenEmail }): JSX.Element {
  const [copied, setCopied] = useState(false);
  const facts = factsOf(email);
  const raw = email.senderChecks.map(({ text }) => text).join(";\n");
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(plainText(email, facts, raw));
    setCopied(true);
  };
  return (
    <>
      <dl>
        {facts.map((fact, at) => (
          <div key={`${at} ${fact.name}`}>
            <dt>{fact.name}</dt>
            <dd>
              {fact.words}
              {fact.why && <span class="soft"> {fact.why}</span>}
              {fact.list !== undefined && fact.list.length > 0 && (
                <ul>
                  {fact.list.map((one) => (
                    <li key={one}>{one}</li>
                  ))}
                </ul>
              )}
            </dd>
          </div>
        ))}
      </dl>
      {raw !== "" && (
        <>
          <h3>As recorded in the header</h3>
          <pre tabIndex={0}>{raw}</pre>
        </>
      )}
      <p class="copy">
        <button type="button" class="quiet" onClick={() => void copy()}>
          Copy
        </button>
        <span role="status">{copied && "Copied."}</span>
      </p>
    </>
  );
}
