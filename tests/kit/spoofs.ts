/**
 * Mail that pretends: the attacks of "Composition Kills" (USENIX Security 2020, with the numbers of
 * its tool espoofer), of "Weak Links in Authentication Chains" (USENIX Security 2021), and on From.
 */

import { hosts, message, type Sending, sealedBy, signedBy, utf8 } from "./strangers.ts";

export interface Spoof extends Pick<Sending, "octets"> {
  /** Also its X-Case field. */
  readonly id: string;
  readonly what: string;
  readonly helo?: string;
  readonly mailFrom?: string;
  readonly from?: string;
  /** The reply that refuses it, or the state and the evidence that the reader is shown. */
  readonly outcome: string;
}

export const bank = "admin@bank.example";
export const evil = "any@attack.example";
const fromBank = `From: <${bank}>`;

export type Row = readonly [what: string, outcome: string, author: string, more?: Partial<Spoof>];

/** @param rows author field, or all of the message where `octets` are given */
export function numbered(catalogue: string, rows: readonly Row[]): readonly Spoof[] {
  return rows.map(([what, outcome, author, more], index) => {
    const id = `${catalogue}.${String(index + 1).padStart(2, "0")}`;
    const octets = (more?.octets ?? message(id, author)).replace("X-Case: ?", `X-Case: ${id}`);
    return { id, what, outcome, ...more, octets };
  });
}

/** In the name of the attacker's key, whatever domain and selector are claimed. */
export const signedAs = (
  tags: Readonly<Record<string, string>>,
  author: string = fromBank,
): string => signedBy("attack.example", message("?", author), tags);

export const withFields = (author: string, fields: string): Partial<Spoof> => ({
  octets: message("?", author, { fields }),
});

const sender = "Sender: <s@sender.bank.example>\r\n";
const base64 = (text: string): string =>
  `=?utf-8?b?${Buffer.from(text, "utf8").toString("base64")}?=`;

const first = "From: <first@attack.example>";

export const composition: readonly Spoof[] = numbered("A1", [
  [
    "a subdomain that does not exist",
    "forged dmarc-fail",
    fromBank,
    { mailFrom: "<any@mailfrom.notexist.bank.example>" },
  ],
  ["a MAIL FROM that reads as empty", "refused", fromBank, { mailFrom: "<(any@bank.example>" }],
  [
    "NUL in s=",
    "refused",
    "",
    { octets: signedAs({ d: "bank.example", s: "selector._domainkey.attack.example.\0.any" }) },
  ],
  [
    "a quote in d=",
    "forged dmarc-fail",
    "",
    { octets: signedAs({ d: "bank.example'a.attack.example" }) },
  ],
  [
    "a parenthesis in MAIL FROM",
    "refused",
    fromBank,
    { mailFrom: "<any@bank.example(a.attack.example>" },
  ],
  [
    "two at signs in MAIL FROM",
    "refused",
    fromBank,
    { mailFrom: "<any@bank.example'@any.attack.example>" },
  ],
  [
    "a route in MAIL FROM",
    "forged dmarc-fail",
    fromBank,
    { mailFrom: "<@bank.example,@any.example:'any@attack.example>" },
  ],
  ["two From fields", "not-verified ambiguous-author", `${first}\r\n${fromBank}`],
  [
    "two, the first with a space before",
    "not-verified ambiguous-author",
    ` ${first}\r\n${fromBank}`,
  ],
  [
    "two, the second with a space behind",
    "not-verified ambiguous-author",
    `${first}\r\nFrom : <${bank}>`,
  ],
  [
    "two, the first folded before its colon",
    "not-verified ambiguous-author",
    `From\r\n : <first@attack.example>\r\n${fromBank}`,
  ],
  [
    "a folded From and a Sender",
    "not-verified ambiguous-author",
    "",
    withFields("From\r\n : <first@attack.example>", `Sender: <${bank}>\r\n`),
  ],
  [
    "a folded From and a Resent-From",
    "not-verified ambiguous-author",
    "",
    withFields("From\r\n : <first@attack.example>", `Resent-From: <${bank}>\r\n`),
  ],
  [
    "two addresses",
    "not-verified ambiguous-author",
    "",
    withFields(`From: <first@attack.example>, <${bank}>`, sender),
  ],
  [
    "an encoded address",
    "not-verified ambiguous-author",
    "",
    withFields(`From:${base64(`<${bank}>`)},<second@attack.example>`, sender),
  ],
  [
    "a route in From",
    "not-verified ambiguous-author",
    "",
    withFields(`From: <@attack.example,@any.example:${bank}>`, sender),
  ],
  [
    "a quoted pair",
    "not-verified ambiguous-author",
    "",
    withFields(`From: <${bank}>\\,<second@attack.example>`, sender),
  ],
  [
    "special characters",
    "not-verified ambiguous-author",
    "",
    withFields(`From: ${bank},<second@attack.example>`, sender),
  ],
  [
    "a name behind the address",
    "not-verified ambiguous-author",
    "",
    withFields(`From: <${evil}>${bank}`, sender),
  ],
  // Its siblings, from the paper.
  ["the null path, HELO the attacker's", "forged dmarc-fail", fromBank, { mailFrom: "<>" }],
  [
    "HELO in the name of the bank",
    "forged dmarc-fail",
    fromBank,
    { mailFrom: "<>", helo: "bank.example" },
  ],
  [
    "a parenthesis in HELO",
    "refused",
    fromBank,
    { mailFrom: "<>", helo: "bank.example(.attack.example" },
  ],
  [
    "quotes in MAIL FROM",
    "forged dmarc-fail",
    fromBank,
    { mailFrom: '<"any@bank.example,x"@attack.example>' },
  ],
  ["NUL in MAIL FROM", "refused", fromBank, { mailFrom: "<any@bank.example\0.attack.example>" }],
  [
    "a parenthesis in d=",
    "forged dmarc-fail",
    "",
    { octets: signedAs({ d: "bank.example(.attack.example" }) },
  ],
  [
    "a double quote in d=",
    "forged dmarc-fail",
    "",
    { octets: signedAs({ d: 'bank.example"=(.attack.example' }) },
  ],
  [
    "a fold in d=",
    "forged dmarc-fail",
    "",
    { octets: signedAs({ d: "bank.example\r\n .attack.example" }) },
  ],
  ["a dot behind d=", "forged dmarc-fail", "", { octets: signedAs({ d: "bank.example." }) }],
  ["the top level in d=", "forged dmarc-fail", "", { octets: signedAs({ d: "example" }) }],
  [
    "a selector of the attacker's tree",
    "forged dmarc-fail",
    "",
    { octets: signedAs({ d: "bank.example", s: "selector._domainkey.attack.example" }) },
  ],
  [
    "a slash in s=",
    "forged dmarc-fail",
    "",
    { octets: signedAs({ d: "bank.example", s: "selector._domainkey.attack.example/" }) },
  ],
  [
    "d= twice",
    "forged dmarc-fail",
    "",
    { octets: signedAs({ d: "attack.example; d=bank.example" }) },
  ],
  ["i= of the bank", "forged dmarc-fail", "", { octets: signedAs({ i: "@bank.example" }) }],
  [
    "i= of the bank, with two at signs",
    "forged dmarc-fail",
    "",
    { octets: signedAs({ i: "admin@bank.example@attack.example" }) },
  ],
  ["a sound signature of the attacker", "forged dmarc-fail", "", { octets: signedAs({}) }],
  [
    "a sound signature below the attacker's",
    "not-verified ambiguous-author",
    "",
    { octets: signedAs({}, `${first}\r\n${fromBank}`) },
  ],
  [
    "From of the bank signed, another above",
    "not-verified ambiguous-author",
    "",
    { octets: `${fromBank}\r\n${signedAs({}, first)}` },
  ],
]);

const cyrillic = utf8("bаnk.example");

export const weakLinks: readonly Spoof[] = numbered("A3", [
  ["another MAIL FROM", "forged dmarc-fail", fromBank],
  ["no MAIL FROM", "forged dmarc-fail", fromBank, { mailFrom: "<>", helo: "mx.attack.example" }],
  ["several From fields", "not-verified ambiguous-author", `${fromBank}\r\nfrom: <${evil}>`],
  ["several addresses", "not-verified ambiguous-author", `From: Bank <${bank}>, Any <${evil}>`],
  [
    "an address cut by white space",
    "not-verified ambiguous-author",
    `From: <${bank} .attack.example>`,
  ],
  ["an encoded address alone", "not-verified ambiguous-author", `From: ${base64(bank)}`],
  [
    "a subdomain of the bank",
    "forged dmarc-fail",
    "From: <admin@mail.bank.example>",
    { mailFrom: "<admin@mail.bank.example>" },
  ],
  [
    "a forwarder that anybody may use",
    "forged dmarc-fail",
    fromBank,
    { from: hosts.forwarder, mailFrom: "<any@list.example>", helo: "mx.list.example" },
  ],
  [
    "the forwarder's signature",
    "forged dmarc-fail",
    "",
    {
      from: hosts.forwarder,
      mailFrom: "<any@list.example>",
      octets: signedBy("list.example", message("?", fromBank)),
    },
  ],
  [
    "a sealer nobody trusts",
    "forged dmarc-fail",
    "",
    {
      octets: sealedBy(
        "attack.example",
        message("?", fromBank),
        "dmarc=pass header.from=bank.example; spf=pass",
      ),
    },
  ],
  [
    "a letter of another alphabet",
    "verified-other look-alike-domain deceptive-characters",
    `From: Bank <admin@${cyrillic}>`,
    { mailFrom: "<any@xn--bnk-6cd.example>" },
  ],
  [
    "the same in A-labels",
    "not-verified look-alike-domain deceptive-characters",
    "From: Bank <admin@xn--bnk-6cd.example>",
    { mailFrom: "<any@xn--bnk-7cd.example>" },
  ],
  [
    "characters that are not shown",
    "not-verified ambiguous-author deceptive-characters",
    `From: <${bank}\x01\x02@attack.example>`,
  ],
  [
    "blanks that push the address away",
    "not-verified ambiguous-author",
    `From: ${bank}${" ".repeat(300)}<${evil}>`,
  ],
  [
    "an override of direction",
    "verified deceptive-characters",
    utf8(`From: "\u202emoc.knab@nimda\u202d" <${evil}>`),
  ],
  [
    "an override in the address",
    "verified deceptive-characters",
    utf8("From: <\u202eelpmaxe.knab@attack.example>"),
  ],
]);

/** VU#517845 and its kin: whoever reads them differently shows another author. */
export const fromForms: readonly Spoof[] = numbered("A4", [
  ["a group of two", "not-verified ambiguous-author", `From: Team: ${bank}, ${evil};`],
  ["two groups", "not-verified ambiguous-author", `From: A: ${bank};, B: ${evil};`],
  ["a group of one", "not-verified ambiguous-author", `From: Team: ${bank};`],
  ["an empty group", "not-verified", "From: undisclosed:;"],
  [
    "an address as the name of a group",
    "not-verified ambiguous-author",
    `From: ${bank}:; <${evil}>`,
  ],
  ["a semicolon for a comma", "not-verified ambiguous-author", `From: ${bank};${evil}`],
  ["two angle addresses", "not-verified ambiguous-author", `From: <${bank}> <${evil}>`],
  ["two nested ones", "not-verified ambiguous-author", `From: <${bank}<${evil}>>`],
  ["an address before the brackets", "not-verified ambiguous-author", `From: ${bank} <${evil}>`],
  ["text behind the brackets", "not-verified ambiguous-author", `From: <${evil}> Bank`],
  ["an open bracket", "not-verified ambiguous-author", `From: Bank <${bank}`],
  ["two at signs", "not-verified ambiguous-author", "From: <admin@bank.example@attack.example>"],
  ["brackets in a quoted name", "not-verified ambiguous-author", `From: "<${bank}>" <${evil}>`],
  ["a quote that ends early", "not-verified ambiguous-author", `From: "a\\" <${bank}>" <${evil}>`],
  ["an open quote", "not-verified ambiguous-author", `From: "Bank <${bank}>`],
  [
    "encoded brackets as a name",
    "not-verified ambiguous-author",
    `From: ${base64(`<${bank}>`)} <${evil}>`,
  ],
  [
    "an encoded word in the address",
    "not-verified ambiguous-author",
    "From: <=?utf-8?q?admin=40bank.example=2C?=@attack.example>",
  ],
  ["a comment with an address", "not-verified ambiguous-author", `From: ${evil} (${bank})`],
  ["a comment in the address", "not-verified ambiguous-author", "From: admin(x)@bank.example"],
  ["a comment that hides brackets", "not-verified ambiguous-author", `From: (<${bank}>) <${evil}>`],
  [
    "an at sign in quotes",
    "not-verified ambiguous-author",
    'From: "admin@bank.example"@attack.example',
  ],
  [
    "a quoted pair in the local part",
    "not-verified ambiguous-author",
    'From: "ad\\min"@bank.example',
  ],
  ["a final dot", "not-verified ambiguous-author", `From: ${bank}.`],
  ["an empty label", "not-verified ambiguous-author", "From: admin@bank..example"],
  ["an address literal", "not-verified ambiguous-author", "From: admin@[198.51.100.66]"],
  ["a full-width domain", "not-verified ambiguous-author", utf8("From: admin@ｂank.example")],
  [
    "a zero-width space in the domain",
    "not-verified ambiguous-author deceptive-characters",
    utf8("From: admin@ba\u200bnk.example"),
  ],
  ["a tab before the colon", "not-verified ambiguous-author", `From\t: <${bank}>`],
  ["a continuation on top", "not-verified ambiguous-author", ` From: ${bank}\r\nFrom: ${evil}`],
  ["no From", "not-verified", "Reply-To: <admin@bank.example>"],
  [
    "an empty From, and a Sender",
    "not-verified",
    "",
    withFields("From: ", `Sender: <${bank}>\r\n`),
  ],
  ["a null address", "not-verified", "From: Bank <>"],
  [
    "a byte order mark",
    "not-verified ambiguous-author",
    utf8(`\ufeffFrom: ${bank}\r\nFrom: ${evil}`),
  ],
  ["NUL in the address", "refused", "From: admin@bank.example\0.attack.example"],
  ["a bare CR", "refused", `From: ${bank}\r<${evil}>`],
  ["a bare LF", "refused", `From: ${bank}\n <${evil}>`],
  ["an empty fold", "not-verified ambiguous-author", `From: ${bank}\r\n \r\n <${evil}>`],
  [
    "a long header between two",
    "not-verified ambiguous-author",
    `From: ${evil}\r\n${`X-Pad: ${"x".repeat(90)}\r\n`.repeat(900)}From: ${bank}`,
  ],
  [
    "a header too long to be read",
    "refused",
    `From: ${bank}\r\n${"X-Pad: x\r\n".repeat(30_000)}X: y`,
  ],
]);
