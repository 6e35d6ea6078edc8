/** Mail that somebody with a login submits in another's name (catalogue A2). */

import { message, utf8 } from "./strangers.ts";

export interface Submitted {
  /** Also its X-Case field. */
  readonly id: string;
  readonly what: string;
  readonly octets: string;
  /** With its brackets; that of the login when it is absent. */
  readonly mailFrom?: string;
  /** "refused", or what the recipient is shown. */
  readonly outcome: string;
}

const ana = "ana@postern.test";
const ben = "ben@postern.test";
const fromAna = `From: <${ana}>`;

type Row = readonly [
  what: string,
  outcome: string,
  author: string,
  fields?: string,
  mailFrom?: string,
];

const rows: readonly Row[] = [
  // The three of espoofer's client mode.
  ["two From fields", "refused", `${fromAna}\r\nFrom: <${ben}>`],
  ["two addresses", "refused", `From: <${ana}>, <${ben}>`],
  ["the address of another", "refused", `From: <${ben}>`],
  ["nothing wrong", "internal", `From: Ana Demo <${ana}>`],
  ["MAIL FROM of another", "refused", fromAna, "", `<${ben}>`],
  ["the null path, From of another", "refused", `From: <${ben}>`, "", "<>"],
  ["Sender of another", "refused", fromAna, `Sender: <${ben}>\r\n`],
  ["two Senders, one of another", "refused", fromAna, `Sender: <${ana}>\r\nSender: <${ben}>\r\n`],
  ["Resent-From of another", "refused", fromAna, `Resent-From: <${ben}>\r\n`],
  ["Resent-Sender of another", "refused", fromAna, `Resent-Sender: <${ben}>\r\n`],
  ["no From", "refused", `Reply-To: <${ben}>`],
  ["an empty From", "refused", "From: "],
  ["a foreign domain", "refused", "From: <admin@bank.example>"],
  ["a group of two", "refused", `From: Team: ${ana}, ${ben};`],
  ["a group named as another", "refused", `From: ${ben}:; <${ana}>`],
  ["a group of the login alone", "refused", `From: Team: ${ana};`],
  ["a route", "refused", `From: <@postern.test,@${ben}:${ana}>`],
  ["an address before the brackets", "refused", `From: ${ben} <${ana}>`],
  ["an address behind the brackets", "refused", `From: <${ana}> ${ben}`],
  ["a comment with an address", "refused", `From: ${ana} (${ben})`],
  ["brackets in a quoted name", "refused", `From: "<${ben}>" <${ana}>`],
  ["a quote that ends early", "refused", `From: "a\\" <${ben}>" <${ana}>`],
  [
    "an encoded address before the brackets",
    "refused",
    `From: =?utf-8?q?=3C${ben.replace("@", "=40")}=3E?= <${ana}>`,
  ],
  ["a folded field, then a plain one", "refused", `From\r\n : <${ben}>\r\n${fromAna}`],
  ["a space before the colon, then a plain one", "refused", `From : <${ben}>\r\n${fromAna}`],
  [
    "an octet before the name, then a plain one",
    "refused",
    `${utf8("\u00a0")}From: <${ben}>\r\n${fromAna}`,
  ],
  ["a continuation on top, then a plain one", "refused", ` From: <${ben}>\r\n${fromAna}`],
  ["a quoted local part", "refused", `From: "ana"@postern.test`],
  ["a control in the address", "refused", `From: <${ana}\x01>`],
  ["an empty fold", "refused", `From: ${ana}\r\n \r\n <${ben}>`],
  ["NUL", "refused", `From: ${ana}\0${ben}`],
  ["an address of ours with a tag", "internal", `From: Ana <${ana.replace("@", "+tag@")}>`],
  ["the name of another", "internal name-of-ours", `From: Ben Demo <${ana}>`],
  ["the address of another for a name", "internal name-holds-address", `From: "${ben}" <${ana}>`],
  [
    "results in our name",
    "internal",
    `Authentication-Results: mail.postern.test; dmarc=pass\r\n${fromAna}`,
  ],
];

export const submissions: readonly Submitted[] = rows.map(
  ([what, outcome, author, fields = "", mailFrom], index) => {
    const id = `A2.${String(index + 1).padStart(2, "0")}`;
    const octets = message(id, author, { fields });
    return { id, what, outcome, octets, ...(mailFrom !== undefined && { mailFrom }) };
  },
);
