/** What a server echoes of a login never reaches a log, a trace or a person. */

import type { Reply } from "#model/reply";

/** So many characters in a row that were sent are no chance. */
const shortest = 6;

/** @param secrets as they were sent, and as they are */
export function hideSecrets(reply: Reply, secrets: readonly string[]): Reply {
  const hidden = secrets.filter((one) => one !== "").map((one) => one.toLowerCase());
  const clean = (line: string): string => hidden.reduce(hide, line.slice(0, maxLine));
  const { text } = reply;
  return { ...reply, text: typeof text === "string" ? clean(text) : text.map(clean) };
}

const maxLine = 500;

/** Also where only a part is repeated. */
function hide(line: string, secret: string): string {
  const lower = line.toLowerCase();
  const least = Math.min(shortest, secret.length);
  let out = "";
  for (let at = 0; at < line.length; ) {
    let length = 0;
    while (at + length < line.length && secret.includes(lower.slice(at, at + length + 1)))
      length += 1;
    if (length >= least) {
      out += "***";
      at += length;
    } else {
      out += line[at];
      at += 1;
    }
  }
  return out;
}
