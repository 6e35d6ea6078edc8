/** What follows from verdicts: the administrator's choices. */

import type { Parameter } from "#base/parameters";
import { dispositions, type SenderRules } from "#model/decision";
import { defaultSenderRules } from "./weigh-identity.ts";

type Choices<Word extends string> = Readonly<Record<Word, Parameter<string>>>;

function choice(standard: string, doc: string): Parameter<string> {
  return { default: standard, oneOf: dispositions, doc };
}

const { spf, dmarc, senderId } = defaultSenderRules;

export const spfParameters: Choices<keyof SenderRules["spf"]> = {
  fail: choice(
    spf.fail,
    "What an SPF fail leads to, unless a signature of the author's domain or a trusted forwarder vouches.",
  ),
  softfail: choice(
    spf.softfail,
    "What an SPF softfail leads to, unless a signature of the author's domain or a trusted forwarder vouches.",
  ),
  temperror: choice(spf.temperror, "What happens when DNS does not answer an SPF check."),
  permerror: choice(
    spf.permerror,
    "What a broken SPF record leads to, unless a signature of the author's domain or a trusted forwarder vouches.",
  ),
};

export const dmarcParameters: Choices<keyof SenderRules["dmarc"]> = {
  reject: choice(
    dmarc.reject,
    "What a DMARC fail leads to where the domain's owner asks for reject.",
  ),
  quarantine: choice(
    dmarc.quarantine,
    "What a DMARC fail leads to where the domain's owner asks for quarantine.",
  ),
  temperror: choice(dmarc.temperror, "What happens when DNS does not answer a DMARC check."),
};

export const senderIdParameters: Choices<keyof SenderRules["senderId"]> = {
  fail: choice(senderId.fail, "What a Sender ID fail leads to; accept only stamps it."),
  softfail: choice(senderId.softfail, "What a Sender ID softfail leads to."),
  temperror: choice(senderId.temperror, "What happens when DNS does not answer Sender ID."),
  permerror: choice(senderId.permerror, "What a broken Sender ID record leads to."),
};

/** An alias, not an interface: only that counts as a table of any parameters. */
type SpamTable = {
  readonly junk: Parameter<number>;
  readonly reject: Parameter<number>;
  readonly allow: Parameter<readonly string[]>;
  readonly partners: Parameter<readonly string[]>;
};

export const spamParameters: SpamTable = {
  junk: {
    default: 7,
    unit: "count",
    min: 1,
    max: 10,
    doc: "Spam confidence (0 to 9) from which mail goes to Junk; 10: never. Lower when too much gets through.",
  },
  reject: {
    default: 10,
    unit: "count",
    min: 5,
    max: 10,
    doc: "Spam confidence (0 to 9) from which mail is refused; 10: never.",
  },
  allow: {
    default: [],
    doc: "Addresses and domains whose verified mail counts as wanted.",
  },
  partners: {
    default: [],
    doc: "Domains of those you deal with: mail from domains that look like them is marked.",
  },
};
