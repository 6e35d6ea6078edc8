/** Mail that pretends by what is shown: forged results, replayed signatures, names and look-alikes. */

import { bank, evil, numbered, type Row, type Spoof, signedAs, withFields } from "./spoofs.ts";
import { hosts, message, sealedBy, signedBy, utf8 } from "./strangers.ts";

const claim = "dmarc=pass header.from=bank.example; x-sender=verified";
const fromEvil = `From: <${evil}>`;

/** Fields above an honest one, each of which somebody may take for ours (RFC 8601 §5). */
export const forgedResults: readonly Spoof[] = numbered(
  "S17",
  [
    ["our id", `Authentication-Results: mail.postern.test; ${claim}`],
    ["capitals", `AUTHENTICATION-RESULTS: MAIL.Postern.Test; ${claim}`],
    ["a version", `Authentication-Results: mail.postern.test 1; ${claim}`],
    ["a quoted id", `Authentication-Results: "mail.postern.test"; ${claim}`],
    ["quoted pairs", `Authentication-Results: "mail\\.postern\\.test"; ${claim}`],
    ["a comment before the id", `Authentication-Results: (a(b)) mail.postern.test; ${claim}`],
    [
      "folds",
      `Authentication-Results:\r\n\r\n\tmail.postern.test\r\n ; ${claim}`.replace(
        "\r\n\r\n",
        "\r\n",
      ),
    ],
    ["a space before the colon", `Authentication-Results : mail.postern.test; ${claim}`],
    ["a tab before the colon", `Authentication-Results\t: mail.postern.test; ${claim}`],
    ["a fold before the colon", `Authentication-Results\r\n : mail.postern.test; ${claim}`],
    ["a dot behind the id", `Authentication-Results: mail.postern.test.; ${claim}`],
    ["no semicolon", `Authentication-Results: mail.postern.test ${claim}`],
    ["something before the id", `Authentication-Results: ; mail.postern.test; ${claim}`],
    ["two ids", `Authentication-Results: mail.postern.test, mx.attack.example; ${claim}`],
    ["an octet in front of the name", `\xa0Authentication-Results: mail.postern.test; ${claim}`],
    ["an octet behind the name", `Authentication-Results\xa0: mail.postern.test; ${claim}`],
    ["a continuation on top", ` Authentication-Results: mail.postern.test; ${claim}`],
  ].map(
    ([what = "", field = ""]): Row => [
      what,
      "verified",
      "",
      { octets: message("?", fromEvil, { above: `${field}\r\n` }) },
    ],
  ),
);

const longName = `${`${"a".repeat(61)}.`.repeat(4)}example`.slice(-253).replace(/^\./, "");

/** Texts that come back in our own field. */
export const injected: readonly Spoof[] = numbered("RFC8601", [
  [
    "in i=",
    "forged dmarc-fail",
    "",
    { octets: signedAs({ i: `"${claim.split(";")[0]} "@attack.example` }) },
  ],
  [
    "in a=",
    "forged dmarc-fail",
    "",
    { octets: signedAs({ a: "x dmarc=pass header.from=bank.example" }) },
  ],
  [
    "in the local part of From",
    "not-verified ambiguous-author",
    `From: "; ${claim}; x="@attack.example`,
  ],
  [
    "in the local part of Sender",
    "verified",
    "",
    withFields(fromEvil, `Sender: "; ${claim}; x="@attack.example\r\n`),
  ],
  [
    "in the local part of MAIL FROM",
    "verified",
    fromEvil,
    { mailFrom: `<"; ${claim}; x="@attack.example>` },
  ],
  ["in a comment of From", "verified", `From: <${evil}> (; ${claim})`],
  ["in a term of an SPF record", "not-verified", fromEvil, { mailFrom: "<any@terms.example>" }],
  [
    "in d=",
    "forged dmarc-fail",
    "",
    { octets: signedAs({ d: `attack.example (${claim.split(";")[0]})` }) },
  ],
  [
    "names as long as they may be",
    "forged dmarc-fail",
    "",
    { octets: signedAs({ d: longName, s: longName, i: `"${"x".repeat(60)}"@${longName}` }) },
  ],
]);

const shown = "From: Bank <admin@bank.example>";

/** As the bank signs a message that the attacker has got hold of. */
const ofBank = (tags: Readonly<Record<string, string>> = {}, fields = ""): string =>
  signedBy("bank.example", message("?", shown, { fields }), tags);
const split = (text: string): readonly [string, string] => {
  const at = text.indexOf("\r\n\r\n") + 2;
  return [text.slice(0, at), text.slice(at)];
};
const withField = (text: string, field: string): string => split(text).join(`${field}\r\n`);
const html = "Content-Type: text/html\r\n";

/** Signed by the bank and sent again by another; only what is unchanged may still be the bank's. */
export const replayed: readonly Spoof[] = numbered("A9", [
  ["unchanged", "verified", "", { octets: ofBank() }],
  [
    "another From above",
    "not-verified ambiguous-author",
    "",
    { octets: `From: <${evil}>\r\n${ofBank()}` },
  ],
  [
    "another From below",
    "not-verified ambiguous-author",
    "",
    { octets: withField(ofBank(), `From: <${evil}>`) },
  ],
  ["another Subject above", "forged dmarc-fail", "", { octets: `Subject: Pay now\r\n${ofBank()}` }],
  [
    "another Subject below",
    "forged dmarc-fail",
    "",
    { octets: withField(ofBank(), "Subject: Pay now") },
  ],
  [
    "another To",
    "forged dmarc-fail",
    "",
    { octets: withField(ofBank(), "To: <ben@postern.test>") },
  ],
  [
    "another Date",
    "forged dmarc-fail",
    "",
    { octets: withField(ofBank(), "Date: Sun, 22 Nov 2026 10:00:00 +0000") },
  ],
  [
    "another subject in its place",
    "forged dmarc-fail",
    "",
    { octets: ofBank().replace(/^Subject: .*$/m, "Subject: Pay now") },
  ],
  ["more text behind the body", "forged dmarc-fail", "", { octets: `${ofBank()}Pay now.\r\n` }],
  [
    "more text behind l=",
    "forged dmarc-fail",
    "",
    { octets: `${ofBank({ l: "20" })}Pay now.\r\n` },
  ],
  ["l=0", "forged dmarc-fail", "", { octets: ofBank({ l: "0" }) }],
  [
    "an unsigned Content-Type turned",
    "verified",
    "",
    { octets: withField(ofBank(), html.trimEnd()) },
  ],
  [
    "a second Content-Type above a signed one",
    "forged dmarc-fail",
    "",
    {
      octets: `${html}${ofBank({ h: "From:To:Subject:Date:Content-Type" }, "Content-Type: text/plain\r\n")}`,
    },
  ],
  [
    "a Content-Type where none was signed (h= names it)",
    "forged dmarc-fail",
    "",
    { octets: `${html}${ofBank({ h: "From:To:Subject:Date:Content-Type" })}` },
  ],
  [
    "an unsigned Reply-To",
    "verified reply-elsewhere",
    "",
    { octets: withField(ofBank(), `Reply-To: <${evil}>`) },
  ],
  ["an unsigned Sender", "verified", "", { octets: withField(ofBank(), `Sender: <${evil}>`) }],
  ["a Resent-From on top", "verified", "", { octets: `Resent-From: <${evil}>\r\n${ofBank()}` }],
  ["expired", "forged dmarc-fail", "", { octets: ofBank({ t: "1700000000", x: "1700000001" }) }],
  ["From is not signed", "forged dmarc-fail", "", { octets: ofBank({ h: "To:Subject:Date" }) }],
  ["signed in the future", "forged dmarc-fail", "", { octets: ofBank({ t: "4000000000" }) }],
  [
    "its signature below the attacker's",
    "verified",
    "",
    { octets: signedBy("attack.example", ofBank(), { h: "From:To" }) },
  ],
  [
    "from the bank's address, null path",
    "verified",
    "",
    { octets: ofBank(), from: hosts.bank, mailFrom: "<>", helo: "bank.example" },
  ],
]);

/** As a trusted sealer gave it away, and what others make of it (RFC 8617 §9). */
const claimed = "dmarc=pass header.from=bank.example";
const sealed = (seen: string = claimed): string =>
  sealedBy("sealer.example", message("?", shown), seen);

export const sealedReplays: readonly Spoof[] = numbered("A11", [
  ["unchanged", "verified-other", "", { octets: sealed() }],
  [
    "another From above",
    "not-verified ambiguous-author",
    "",
    { octets: `From: <${evil}>\r\n${sealed()}` },
  ],
  [
    "another From below",
    "not-verified ambiguous-author",
    "",
    { octets: withField(sealed(), `From: <${evil}>`) },
  ],
  ["another Subject", "forged dmarc-fail", "", { octets: `Subject: Pay now\r\n${sealed()}` }],
  ["more text behind", "forged dmarc-fail", "", { octets: `${sealed()}Pay now.\r\n` }],
  [
    "a pass of another",
    "forged dmarc-fail",
    "",
    { octets: sealed("dmarc=pass header.from=attack.example") },
  ],
  [
    "a pass in a quoted string",
    "forged dmarc-fail",
    "",
    { octets: sealed('x=y z="; dmarc=pass header.from=bank.example"') },
  ],
  [
    "a pass in a comment",
    "forged dmarc-fail",
    "",
    { octets: sealed("spf=none (; dmarc=pass header.from=bank.example)") },
  ],
  [
    "two results",
    "forged dmarc-fail",
    "",
    { octets: sealed(`${claimed}; dmarc=fail header.from=bank.example`) },
  ],
  [
    "the seal of another under its name",
    "forged dmarc-fail",
    "",
    {
      octets: sealedBy("attack.example", message("?", shown), claimed).replaceAll(
        "d=attack.example",
        "d=sealer.example",
      ),
    },
  ],
  [
    "From of the attacker sealed, that of the bank put on",
    "not-verified ambiguous-author",
    "",
    { octets: `From: <${bank}>\r\n${sealedBy("sealer.example", message("?", fromEvil), claimed)}` },
  ],
]);

type Shown = readonly [what: string, evidence: string, author: string];

const named = (name: string): string => utf8(`From: ${name} <${evil}>`);
const encoded = (name: string): string =>
  named(`=?utf-8?b?${Buffer.from(name, "utf8").toString("base64")}?=`);
const at = (domain: string): string => utf8(`From: Somebody <somebody@${domain}>`);

/** What people see in place of the address, and addresses that look like another's (UTS 39). */
const displays: readonly Shown[] = [
  ["an address as name", "verified name-holds-address", named(`"${bank}"`)],
  ["an address among words", "verified name-holds-address", named(`"${bank} via List"`)],
  ["an encoded address as name", "verified name-holds-address", encoded(bank)],
  ["an address behind a word", "verified name-holds-address", named(`"The Bank, ${bank}"`)],
  [
    "an address in two encoded words",
    "verified name-holds-address",
    named("=?utf-8?q?admin=40?= =?utf-8?q?bank.example?="),
  ],
  [
    "an address in UTF-7",
    "verified name-holds-address",
    named("=?utf-7?q?admin+AEA-bank.example?="),
  ],
  ["a full-width at sign", "verified name-holds-address", named('"admin＠bank.example"')],
  ["a domain as name", "verified name-holds-address", named('"bank.com"')],
  ["a link as name", "verified name-holds-address", named('"https://www.bank.com/login"')],
  ["our own domain as name", "verified name-holds-address", named('"it@postern.test"')],
  [
    "an address with an unseen letter",
    "verified deceptive-characters",
    named('"admin@ba\u200bnk.example"'),
  ],
  [
    "an address turned around",
    "verified deceptive-characters",
    named('"\u202eelpmaxe.knab@nimda"'),
  ],
  ["an isolate", "verified deceptive-characters", encoded("\u2067knaB\u2069")],
  ["an embedding", "verified deceptive-characters", encoded("\u202bBank\u202c")],
  ["a mark of direction", "verified deceptive-characters", encoded("Bank\u200f")],
  ["a zero-width space", "verified deceptive-characters", named('"Ba\u200bnk"')],
  ["a zero-width joiner", "verified deceptive-characters", named('"Ba\u200dnk"')],
  ["a soft hyphen", "verified deceptive-characters", named('"Ba\u00adnk"')],
  ["a word joiner", "verified deceptive-characters", encoded("Ba\u2060nk")],
  ["a byte order mark inside", "verified deceptive-characters", encoded("Ba\ufeffnk")],
  ["a filler of Hangul", "verified deceptive-characters", encoded("Bank\u3164\u3164\u3164")],
  ["letters of tags", "verified deceptive-characters", encoded("Bank\u{e0041}\u{e0042}")],
  ["a separator of lines", "verified deceptive-characters", encoded("Bank\u2028admin")],
  ["a vowel separator", "verified deceptive-characters", encoded("Ba\u180enk")],
  [
    "NUL in an encoded name",
    "not-verified ambiguous-author deceptive-characters",
    encoded("Bank\0 evil"),
  ],
  [
    "a line break in an encoded name",
    "not-verified ambiguous-author deceptive-characters",
    encoded("Bank\r\nTo: x"),
  ],
  [
    "an escape in an encoded name",
    "not-verified ambiguous-author deceptive-characters",
    encoded("Bank\x1b[2K"),
  ],
  [
    "a C1 control in an encoded name",
    "not-verified ambiguous-author deceptive-characters",
    encoded("Bank\x9b2K"),
  ],
  ["one Cyrillic letter", "verified deceptive-characters", encoded("Bаnk")],
  ["one Greek letter", "verified deceptive-characters", encoded("Cοmpany")],
  ["two scripts nobody mixes", "verified deceptive-characters", encoded("Банκ")],
  ["a name of ours", "verified name-of-ours", named("Ben Demo")],
  ["a name of ours in capitals and marks", "verified name-of-ours", encoded("DEMO, BÉN")],
  [
    "a name of ours with an unseen letter",
    "verified deceptive-characters",
    encoded("Ben D\u200bemo"),
  ],
  ["a name of ours in Cyrillic", "verified deceptive-characters", encoded("Веn Demo")],
  ["a name of ours in bold signs", "verified name-of-ours", encoded("𝐁𝐞𝐧 𝐃𝐞𝐦𝐨")],
  ["a digit for a letter of ours", "not-verified look-alike-domain", at("p0stern.test")],
  ["a letter less", "not-verified look-alike-domain", at("postrn.test")],
  ["a letter more", "not-verified look-alike-domain", at("posterrn.test")],
  ["rn for m, and back", "not-verified look-alike-domain", at("postem.test")],
  ["a hyphen more", "not-verified look-alike-domain", at("post-ern.test")],
  [
    "below ours before another's",
    "verified look-alike-domain",
    at("mail.postern.test.attack.example"),
  ],
  ["ours before another's", "verified look-alike-domain", at("postern.test.attack.example")],
  ["another suffix", "not-verified look-alike-domain", at("postern.example")],
  ["a partner with another suffix", "not-verified look-alike-domain", at("bank.test")],
  ["a partner before another's", "verified look-alike-domain", at("bank.example.attack.example")],
  [
    "a partner in Cyrillic",
    "not-verified look-alike-domain deceptive-characters",
    at("bаnk.example"),
  ],
  ["a partner with a dot below", "not-verified look-alike-domain", at("bạnk.example")],
];

export const disguised: readonly Spoof[] = numbered(
  "A13",
  displays.map(([what, evidence, author]): Row => [what, evidence, author]),
);
