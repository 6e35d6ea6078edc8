/** The only table from a decision to the words on the wire (RFC 5321 §4.2, RFC 3463, RFC 7372). Pure. */

import type { Decision } from "#model/decision";
import type { Reply } from "#model/reply";

/** Basic code when refused for good, and the public words, by status without its class. */
const table: Readonly<Record<string, readonly [code: number, text: string]>> = {
  "1.1": [550, "no such mailbox here"],
  "1.8": [550, "the sender's domain does not exist"],
  "2.2": [552, "the mailbox is full"],
  "3.0": [550, "a check of the message gave no answer"],
  "3.4": [552, "the message is too large"],
  "4.3": [550, "the DNS did not answer about the author's domain"],
  "4.6": [554, "the message went in circles"],
  "6.0": [554, "the message is malformed"],
  "7.1": [550, "refused by the policy of this site"],
  "7.23": [550, "SPF does not let this host send for the sender's domain"],
  "7.24": [550, "SPF could not be evaluated for the sender's domain"],
  "7.26": [550, "DMARC: neither SPF nor DKIM speaks for the author's domain, which asks for this"],
};

/** Says nothing of the reasons inside: those are for the trace, not for the peer. */
export function replyTo(decision: Decision): Reply {
  const status = decision.opinions[0]?.status ?? "7.1";
  const [code, text] = table[status] ?? [550, "refused by the policy of this site"];
  switch (decision.disposition) {
    case "accept":
    case "quarantine": // the sender is not told: mail in quarantine is accepted mail
      return { code: 250, status: "2.0.0", text: "accepted" };
    case "defer":
      return { code: 451, status: `4.${status}`, text: `${text}; try again later` };
    case "reject":
      return { code, status: `5.${status}`, text };
  }
}
