/** Enhanced status codes (RFC 3463, RFC 7505, RFC 7372) in words for people who are not postmasters. */

export interface Explanation {
  /** What happened, as a sentence. */
  readonly cause: string;
  /** What the sender can do about it, as a sentence. */
  readonly advice: string;
}

const spelling = "Check the spelling of the address, or ask the person for the right one.";
const theirs = "Only the recipient's side can change that: reach them in another way.";
const ours = "If this goes on, tell your administrator and show them this message.";

/** By subject and detail; the class tells only whether trying again may help. */
const explanations: Readonly<Record<string, Explanation>> = {
  "1.1": { cause: "This address does not exist there.", advice: spelling },
  "1.2": { cause: "The part of the address behind the @ does not exist.", advice: spelling },
  "1.3": { cause: "The address is not written as an address must be.", advice: spelling },
  "1.6": { cause: "The mailbox has moved and left no new address.", advice: spelling },
  "1.10": { cause: "The recipient's domain takes no mail at all.", advice: spelling },
  "2.0": { cause: "The recipient's mailbox cannot be used now.", advice: theirs },
  "2.1": { cause: "The recipient's mailbox is switched off.", advice: theirs },
  "2.2": { cause: "The recipient's mailbox is full.", advice: theirs },
  "2.3": {
    cause: "The message is larger than this recipient may receive.",
    advice: "Send it without attachments, or share them in another way.",
  },
  "3.1": { cause: "The recipient's server has no room left.", advice: theirs },
  "3.4": {
    cause: "The message is larger than the recipient's server takes.",
    advice: "Send it without attachments, or share them in another way.",
  },
  "4.1": { cause: "The recipient's server does not answer.", advice: theirs },
  "4.2": { cause: "The recipient's server broke off the connection.", advice: theirs },
  "4.3": { cause: "The recipient's domain cannot be looked up now.", advice: spelling },
  "4.4": { cause: "No server is named that takes mail for the recipient.", advice: spelling },
  "4.6": { cause: "The recipient's domain leads the mail back to us in a loop.", advice: ours },
  "4.7": { cause: "The recipient's server did not take the message for days.", advice: theirs },
  "6.7": {
    cause: "The recipient's server does not know addresses with letters outside ASCII.",
    advice: "Use an address of the recipient, or of your own, in plain letters.",
  },
  "7.1": {
    cause: "The recipient's server refuses to take this message.",
    advice: "Its words below may tell why; the recipient's postmaster can help.",
  },
  "7.5": {
    cause: "A protected connection to the recipient's server could not be made.",
    advice: ours,
  },
  "7.10": { cause: "The recipient's server could not verify who sends.", advice: ours },
  "7.23": { cause: "The recipient's server says we may not send for your domain.", advice: ours },
  "7.26": { cause: "The recipient's server could not verify who sends.", advice: ours },
};

/** By subject alone, when the detail is not known. */
const subjects: readonly Explanation[] = [
  { cause: "The recipient's server did not take the message.", advice: ours },
  { cause: "Something is wrong with the address.", advice: spelling },
  { cause: "Something is wrong with the recipient's mailbox.", advice: theirs },
  { cause: "The recipient's server has trouble of its own.", advice: theirs },
  { cause: "The recipient's server could not be reached.", advice: theirs },
  { cause: "The recipient's server did not follow the rules of mail.", advice: ours },
  { cause: "The recipient's server cannot handle the content of this message.", advice: ours },
  {
    cause: "The recipient's server refuses this message by its rules.",
    advice: "Its words below may tell why; the recipient's postmaster can help.",
  },
];

const unknown: Explanation = {
  cause: "The recipient's server did not take the message.",
  advice: ours,
};

/** @param status "5.1.1", from anywhere: what is no status is explained in general words */
export function explainStatus(status: string): Explanation {
  const [, subject = "", detail = ""] = status.split(".");
  const known = Object.hasOwn(explanations, `${subject}.${detail}`);
  const exact = known ? explanations[`${subject}.${detail}`] : undefined;
  return exact ?? (/^[0-7]$/.test(subject) ? subjects[Number(subject)] : undefined) ?? unknown;
}
