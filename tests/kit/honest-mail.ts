/** Mail as honest people send it, by every way that breaks some check, and what is doubtful in it. */

import { hosts, message, type Sending, sealedBy, signedBy } from "./strangers.ts";

export interface Honest extends Partial<Sending> {
  readonly id: string;
  readonly what: string;
  /** State, mailbox, origin, and evidence other than a first contact. */
  readonly outcome: string;
  readonly octets: string;
}

const bank = "From: Bank <service@bank.example>";
const shop = "From: Shop <news@shop.example>";
const byBank = { from: hosts.bank, helo: "mx.bank.example", mailFrom: "<service@bank.example>" };
const byForwarder = { from: hosts.forwarder, helo: "mx.alumni.example" };
const byList = { from: hosts.forwarder, helo: "list.example", mailFrom: "<bounces@list.example>" };
const byProvider = { ...byBank, from: hosts.provider, helo: "in.provider.example" };
const listFields = "List-Id: <talk.list.example>\r\n";

const hop = (name: string, address: string): string =>
  `Received: from ${name} (${name} [${address}])\r\n\tby in.provider.example (Postfix) with ESMTP id 1;\r\n\tSat, 21 Nov 2026 09:59:00 +0000\r\n`;
const bankHop = hop("mx.bank.example", hosts.bank);
const evilHop = hop("mx.bank.example", hosts.attack);
const ownHop = hop("filter.provider.example", "203.0.113.6");

type Row = readonly [what: string, outcome: string, octets: string, sent: Partial<Sending>];
const plain = (author: string, fields = ""): string => message("?", author, { fields });
const bankSigned = signedBy("bank.example", plain(bank));
const tagged = (octets: string): string => octets.replace("Subject: ", "Subject: [talk] ");

/** CAP-55: every way that mail goes; the sender's own rule is p=reject for bank, p=none for shop. */
const ways: readonly Row[] = [
  ["signed, from its own server", "verified inbox outside", bankSigned, byBank],
  ["its own server alone", "verified inbox outside", plain(bank), byBank],
  [
    "a forwarder that keeps MAIL FROM, signed",
    "verified inbox outside",
    bankSigned,
    { ...byForwarder, mailFrom: "<service@bank.example>" },
  ],
  [
    "a forwarder that rewrites MAIL FROM, signed",
    "verified inbox outside",
    bankSigned,
    { ...byForwarder, mailFrom: "<srs0=a=bank.example=service@alumni.example>" },
  ],
  [
    "a forwarder, not signed, p=none",
    "not-verified junk outside",
    plain(shop),
    { ...byForwarder, mailFrom: "<news@shop.example>" },
  ],
  [
    "a forwarder, not signed, p=reject",
    "forged junk outside dmarc-fail",
    plain(bank),
    { ...byForwarder, mailFrom: "<service@bank.example>" },
  ],
  [
    "a forwarder that says so in Resent-From, p=none",
    "not-verified inbox outside",
    plain(shop, "Resent-From: <ana@alumni.example>\r\n"),
    { ...byForwarder, mailFrom: "<ana@alumni.example>" },
  ],
  [
    "a list that seals, and is trusted",
    "verified-other inbox forwarded",
    sealedBy("sealer.example", tagged(bankSigned), "dmarc=pass header.from=bank.example"),
    byList,
  ],
  [
    "a list that seals, and is trusted, but saw no pass",
    "forged junk forwarded dmarc-fail",
    sealedBy("sealer.example", tagged(bankSigned), "dmarc=fail header.from=bank.example"),
    byList,
  ],
  [
    "a list that sends as itself",
    "verified inbox outside",
    signedBy(
      "list.example",
      message("?", 'From: "Ann via Talk" <talk@list.example>', { fields: listFields }),
    ),
    byList,
  ],
  [
    "a list that breaks the signature, p=reject",
    "forged junk forwarded dmarc-fail",
    signedBy("list.example", tagged(bankSigned).replace("\r\nTo:", `\r\n${listFields}To:`)),
    byList,
  ],
  [
    "a list that breaks the signature, p=none",
    "not-verified inbox forwarded",
    signedBy("list.example", plain(shop, listFields)),
    byList,
  ],
  [
    "a mailing service in the author's name",
    "verified-other inbox outside via-other-domain",
    signedBy("esp.example", plain("From: Bare <a@bare.example>")),
    { from: hosts.forwarder, helo: "esp.example", mailFrom: "<b@esp.example>" },
  ],
  [
    "signed, without a rule",
    "verified-other inbox outside",
    signedBy("signed.example", plain("From: <a@signed.example>")),
    { ...byForwarder, mailFrom: "<a@signed.example>" },
  ],
  [
    "from a listed server, without a rule",
    "verified-other inbox outside",
    plain("From: <a@listed.example>"),
    { ...byBank, mailFrom: "<a@listed.example>" },
  ],
  [
    "a domain that publishes nothing",
    "not-verifiable inbox outside",
    plain("From: <a@bare.example>"),
    { ...byBank, mailFrom: "<a@bare.example>" },
  ],
  [
    "a smart host that is not listed",
    "not-verified junk outside",
    plain("From: <a@listed.example>"),
    { ...byForwarder, mailFrom: "<a@listed.example>" },
  ],
  [
    "an alternate address",
    "not-verified inbox outside",
    plain("From: <a@listed.example>", "Sender: <ana@alumni.example>\r\n"),
    { ...byForwarder, mailFrom: "<ana@alumni.example>" },
  ],
  [
    "a notice with the null path",
    "verified inbox outside",
    plain("From: MAILER-DAEMON@bank.example"),
    { ...byBank, helo: "bank.example", mailFrom: "<>" },
  ],
  [
    "two megabytes, signed",
    "verified inbox outside",
    signedBy(
      "bank.example",
      message("?", bank, { body: "All work and no play.\r\n".repeat(90_000) }),
    ),
    byForwarder,
  ],
  [
    "a header of 100 KB, signed",
    "verified inbox outside",
    signedBy(
      "bank.example",
      message("?", bank, { above: `X-Pad: ${"x".repeat(110)}\r\n`.repeat(900) }),
    ),
    byForwarder,
  ],
];

/** CAP-56: a provider in front, whose networks are in identity.ownRelays. */
const layouts: readonly Row[] = [
  [
    "the provider names the bank's server",
    "verified inbox outside",
    bankHop + plain(bank),
    byProvider,
  ],
  [
    "several hops of the provider",
    "verified inbox outside",
    ownHop + bankHop + plain(bank),
    byProvider,
  ],
  [
    "the provider names the attacker's server",
    "forged junk outside dmarc-fail",
    evilHop + plain(bank),
    byProvider,
  ],
  [
    "a forged field below that of the attacker",
    "forged junk outside dmarc-fail",
    evilHop + bankHop + plain(bank),
    byProvider,
  ],
  [
    "a forged field of ours below that of the attacker",
    "forged junk outside dmarc-fail",
    evilHop + ownHop + bankHop + plain(bank),
    byProvider,
  ],
  [
    "no provider, but its forged field",
    "forged junk outside dmarc-fail",
    bankHop + plain(bank),
    { ...byBank, from: hosts.attack },
  ],
  ["the direct way beside the provider", "verified inbox outside", plain(bank), byBank],
  ["a provider that does not say, signed", "verified inbox unknown", bankSigned, byProvider],
  [
    "a provider that does not say, not signed",
    "not-checked inbox unknown",
    plain("From: <a@listed.example>"),
    { ...byProvider, mailFrom: "<a@listed.example>" },
  ],
];

const paying =
  "Please use our new bank account from now on: the IBAN has changed.\r\nKind regards\r\n";
/** CAP-65, CAP-104, CAP-105: what speaks against a message that nobody can be sure of. */
const suspects: readonly Row[] = [
  [
    "a new account to pay to",
    "verified inbox outside payment-change",
    signedBy("bank.example", message("?", bank, { body: paying, subject: "Changed bank details" })),
    byBank,
  ],
  [
    "our own domain from outside",
    "forged junk outside own-domain dmarc-fail",
    plain("From: Ben Demo <ben@postern.test>"),
    {},
  ],
  [
    "a domain like ours",
    "not-verified junk outside look-alike-domain",
    plain("From: Bank <ben@p0stern.test>"),
    {},
  ],
  [
    "an address for a name",
    "verified inbox outside name-holds-address",
    plain('From: "service@bank.example" <any@attack.example>'),
    {},
  ],
  [
    "the name of one of ours",
    "verified inbox outside name-of-ours",
    plain("From: Ben Demo <any@attack.example>"),
    {},
  ],
  [
    "the mail system itself",
    "forged junk outside own-domain dmarc-fail",
    plain("From: <postmaster@mail.postern.test>"),
    {},
  ],
  [
    "two authors",
    "not-verified junk outside ambiguous-author",
    plain("From: <service@bank.example>, <any@attack.example>"),
    {},
  ],
  [
    "answers that go elsewhere",
    "verified inbox outside reply-elsewhere",
    plain(bank, "Reply-To: <any@attack.example>\r\n"),
    byBank,
  ],
];

const rowsOf = (catalogue: string, rows: readonly Row[]): readonly Honest[] =>
  rows.map(([what, outcome, octets, sent], index) => {
    const id = `${catalogue}.${String(index + 1).padStart(2, "0")}`;
    return { id, what, outcome, ...sent, octets: octets.replace("X-Case: ?", `X-Case: ${id}`) };
  });
/** By the capability that it shows. */
export const honestMail: Readonly<Record<string, readonly Honest[]>> = {
  "CAP-55": rowsOf("CAP-55", ways),
  "CAP-56": rowsOf("CAP-56", layouts),
  "CAP-104": rowsOf("CAP-104", suspects),
};
