/** Distinct messages of a given size, the same in every run. */

import { pick, seededRandom } from "#base/random";

const words =
  "mail server message ledger commit flush queue edge inside link trace page segment".split(" ");

/** Multipart with a text and a base64 attachment, CRLF line ends. */
export function makeMessages(count: number, sizeBytes: number): string[] {
  const random = seededRandom(20_26);
  return Array.from({ length: count }, (_, nth) => {
    const text = Array.from({ length: 60 }, () =>
      Array.from({ length: 9 }, () => words[pick(random, words.length)]).join(" "),
    ).join("\r\n");
    const rest = Math.max(0, sizeBytes - text.length - 700);
    const lines =
      random
        .bytes(Math.floor((rest * 57) / 78))
        .toString("base64")
        .match(/.{1,76}/g) ?? [];
    return [
      "From: Load <load@sender.example>",
      "To: <rcpt@sink.example>",
      `Subject: message ${nth}`,
      `Message-ID: <${nth}.${sizeBytes}@sender.example>`,
      "Date: Sat, 21 Nov 2026 10:00:00 +0000",
      "MIME-Version: 1.0",
      'Content-Type: multipart/mixed; boundary="bench"',
      "",
      "--bench",
      "Content-Type: text/plain; charset=us-ascii",
      "",
      text,
      "--bench",
      "Content-Type: application/octet-stream",
      "Content-Transfer-Encoding: base64",
      "",
      ...lines,
      "--bench--",
      "",
    ].join("\r\n");
  });
}
