/** The least of an SMTP server, for a million messages: says yes to all, and keeps nothing of them. */

import type { Duplex } from "node:stream";

export interface LeanSink {
  serve(stream: Duplex): void;
  readonly sessions: number;
}

/**
 * @param onMail each message that was taken, with its recipients as the commands had them
 * @param stir called for whatever comes
 */
export function leanSink(
  onMail: (recipients: readonly string[], start: string) => void,
  stir: () => void = () => {},
): LeanSink {
  let sessions = 0;
  return {
    get sessions() {
      return sessions;
    },
    serve(stream) {
      sessions += 1;
      let rest = "";
      let isData = false;
      let recipients: string[] = [];
      const say = (text: string): void => void stream.write(`${text}\r\n`);
      const command = (line: string): void => {
        const verb = line.slice(0, 4).toUpperCase();
        if (verb === "EHLO") return say("250-sink.test\r\n250-PIPELINING\r\n250 8BITMIME");
        if (verb === "RCPT") recipients.push(line.slice(9, line.indexOf(">")));
        if (verb === "DATA") isData = true;
        if (verb === "QUIT") {
          say("221 bye");
          return void stream.end();
        }
        say(verb === "DATA" ? "354 go on" : "250 2.0.0 ok");
      };
      stream.setEncoding("latin1");
      stream.on("error", () => {});
      stream.on("end", () => stream.end());
      stream.on("data", (chunk: string) => {
        stir();
        rest += chunk;
        for (;;) {
          const end = rest.indexOf(isData ? "\r\n.\r\n" : "\r\n");
          if (end < 0) return;
          const text = rest.slice(0, end);
          rest = rest.slice(end + (isData ? 5 : 2));
          if (!isData) {
            command(text);
            continue;
          }
          isData = false;
          onMail(recipients, text.slice(0, 200));
          recipients = [];
          say("250 2.0.0 kept");
        }
      });
      say("220 sink.test ESMTP");
    },
  };
}
