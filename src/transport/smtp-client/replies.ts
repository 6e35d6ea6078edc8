/** The remote's words made safe to keep and show, and our own words where it said none. */

import type { Reply } from "#model/reply";
import type { WireFault } from "./wire.ts";

/** Our limits: what an administrator and a sender can read. */
const maxLines = 10;
const maxLine = 500;

/** Printable ASCII, few lines, short ones. */
export function tidyReply(reply: Reply): Reply {
  const lines = (typeof reply.text === "string" ? [reply.text] : reply.text)
    .slice(0, maxLines)
    .map((line) =>
      line
        .replace(/[^\x20-\x7e]+/g, "?")
        .slice(0, maxLine)
        .trim(),
    );
  const text = lines.length === 1 ? (lines[0] ?? "") : lines;
  return { code: reply.code, status: reply.status ?? statusOf(reply.code), text };
}

/** RFC 3463 §3.1: "other or undefined" of the reply's class. */
function statusOf(code: number): string {
  return `${code < 400 ? 2 : code < 500 ? 4 : 5}.0.0`;
}

const words: Readonly<Record<WireFault, readonly [status: string, text: string]>> = {
  timeout: ["4.4.2", "the server did not answer in time"],
  closed: ["4.4.2", "the server closed the connection"],
  unreadable: ["4.5.0", "the server's answer cannot be read"],
  early: ["4.5.0", "the server answered before it was asked"],
};

/** @param when "after MAIL" */
export function faultReply(fault: WireFault, when: string): Reply {
  const [status, text] = words[fault];
  return { code: 421, status, text: `${text} (${when})` };
}

/** A reply of a class that has no meaning there. */
export function unexpectedReply(reply: Reply, when: string): Reply {
  return { code: 451, status: "4.5.0", text: `the server answered ${reply.code} (${when})` };
}

export const ourRefusals: Readonly<
  Record<"utf8Address" | "utf8Header" | "requireTls" | "binary" | "size" | "path" | "noTls", Reply>
> = {
  // RFC 6531 §3.5: X.6.7 for addresses, X.6.9 for what stands in the header.
  utf8Address: {
    code: 550,
    status: "5.6.7",
    text: "the server does not offer SMTPUTF8, which an address of this message needs",
  },
  utf8Header: {
    code: 550,
    status: "5.6.9",
    text: "the server does not offer SMTPUTF8, which the header of this message needs",
  },
  // RFC 8689: X.7.30
  requireTls: {
    code: 550,
    status: "5.7.30",
    text: "the sender requires TLS on the whole way, and this server does not promise it",
  },
  binary: {
    code: 554,
    status: "5.6.3", // RFC 3030 §3
    text: "binary content is not converted",
  },
  size: {
    code: 552,
    status: "5.3.4", // RFC 1870 §6.1
    text: "the message is larger than the server takes",
  },
  path: {
    code: 553,
    status: "5.1.3",
    text: "the address is not valid",
  },
  noTls: {
    code: 454,
    status: "4.7.5",
    text: "TLS is required, and the server does not offer it (starttls-not-supported)",
  },
};
