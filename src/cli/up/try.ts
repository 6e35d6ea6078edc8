/** Shows the main job on one real message: from the SMTP door to the mailbox, with its trace. */

import { once } from "node:events";
import { connect } from "node:net";
import { formatTrace } from "#assurance/trace";
import type { Clock } from "#base/clock";
import { sleep } from "#base/clock";
import { Unavailable } from "#base/errors";
import type { Endpoint } from "#base/net";
import type { Trace, TraceSummary } from "#model/trace";
import type { AdminClient } from "../admin-client.ts";

/** What to tell about one message sent as a stranger would: its trace, or why there is none. */
export async function tryMessage(
  ...given: Parameters<typeof traceOfTrial>
): Promise<{ readonly trace: string } | { readonly fault: string }> {
  try {
    return { trace: formatTrace(await traceOfTrial(...given)) };
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error) };
  }
}

async function traceOfTrial(
  smtp: Endpoint,
  recipient: string,
  admin: AdminClient,
  clock: Clock,
): Promise<Trace> {
  const marker = `try-${clock.nowMs()}@localhost`;
  const message = [
    "From: Postern <hello@localhost>",
    `To: ${recipient}`,
    "Subject: Your first message through Postern",
    `Message-ID: <${marker}>`,
    `Date: ${new Date(clock.nowMs()).toUTCString().replace("GMT", "+0000")}`,
    "",
    "This message came in at the SMTP edge, crossed the link that the inside dialled,",
    "and was committed to the ledger before the edge said 250.",
    "",
  ].join("\r\n");
  await sendByHand(smtp, [
    ["EHLO [127.0.0.1]", "250"],
    ["MAIL FROM:<hello@localhost>", "250"],
    [`RCPT TO:<${recipient}>`, "250"],
    ["DATA", "354"],
    [`${message}\r\n.`, "250"],
    ["QUIT", "221"],
  ]);
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const query = `/trace?limit=5&text=${encodeURIComponent(marker)}`;
    const [summary] = await admin.get<TraceSummary[]>(query);
    if (summary !== undefined) return admin.get<Trace>(`/trace/${summary.id}`);
    await sleep(clock, 100);
  }
  throw new Unavailable("the message was accepted, but its trace does not show");
}

/** A dialogue in lockstep: each line waits for the reply it expects. */
async function sendByHand(
  to: Endpoint,
  dialogue: readonly (readonly [line: string, code: string])[],
): Promise<void> {
  const socket = connect(to);
  socket.setTimeout(30_000, () => socket.destroy(new Unavailable("the SMTP door does not answer")));
  let heard = "";
  // A door that closes without a word, or does not open, ends every wait.
  const closed = once(socket, "close").then(() => {
    throw new Unavailable("the SMTP door closed the connection");
  });
  closed.catch(() => {});
  const reply = async (code: string): Promise<void> => {
    while (!/^\d{3} .*\r\n/m.test(heard)) {
      const [chunk] = (await Promise.race([once(socket, "data"), closed])) as [Buffer];
      heard += chunk.toString("latin1");
    }
    const last = heard.trimEnd();
    heard = "";
    if (!last.split("\r\n").at(-1)?.startsWith(code)) {
      throw new Unavailable(`the SMTP door said: ${last}`);
    }
  };
  try {
    await reply("220");
    for (const [line, code] of dialogue) {
      socket.write(`${line}\r\n`);
      await reply(code);
    }
  } finally {
    socket.destroy();
  }
}
