/** A small SMTP client that says exactly what a test wants said. */

import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Endpoint } from "#base/net";

export class SmtpDialogue {
  readonly #socket: Socket;
  #heard = "";
  #ended = false;
  #waiting: (() => void) | undefined;

  constructor(to: Endpoint, tls?: { readonly ca: string; readonly servername: string }) {
    this.#socket =
      tls === undefined
        ? connect({ host: to.host, port: to.port })
        : connectTls({ host: to.host, port: to.port, ...tls });
    this.#socket.setNoDelay(true);
    const wake = (): void => this.#waiting?.();
    this.#socket.on("data", (chunk: Buffer) => {
      this.#heard += chunk.toString("latin1");
      wake();
    });
    const ended = (): void => {
      this.#ended = true;
      wake();
    };
    this.#socket.on("error", ended);
    this.#socket.on("close", ended);
  }

  /** The next whole reply with its lines, or undefined when the connection ended. */
  async reply(timeoutMs = 60_000): Promise<string | undefined> {
    const deadlineMs = Date.now() + timeoutMs;
    for (;;) {
      const match = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\r\n/.exec(this.#heard);
      if (match !== null) {
        this.#heard = this.#heard.slice(match[0].length);
        return match[0].trimEnd();
      }
      if (this.#ended || Date.now() > deadlineMs) return undefined;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(0, deadlineMs - Date.now()));
        this.#waiting = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async say(line: string): Promise<string | undefined> {
    this.#socket.write(`${line}\r\n`, "latin1");
    return await this.reply();
  }

  write(octets: string | Uint8Array): boolean {
    return typeof octets === "string"
      ? this.#socket.write(octets, "latin1")
      : this.#socket.write(octets);
  }

  async drained(): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#socket.off("drain", done).off("close", done);
        resolve();
      };
      this.#socket.on("drain", done).on("close", done);
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}

export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  /** Whole message with CRLF line ends; dots are stuffed here. */
  readonly octets: string;
  readonly helo?: string;
}

/** Sends one message; the reply to its end, or to the first command refused; undefined: broken. */
export async function sendMail(to: Endpoint, mail: Mail): Promise<string | undefined> {
  const dialogue = new SmtpDialogue(to);
  try {
    const greeting = await dialogue.reply();
    if (greeting === undefined || !greeting.startsWith("220")) return greeting;
    const lines = [
      `EHLO ${mail.helo ?? "[127.0.0.1]"}`,
      `MAIL FROM:<${mail.from}>`,
      ...mail.to.map((one) => `RCPT TO:<${one}>`),
      "DATA",
    ];
    for (const line of lines) {
      const reply = await dialogue.say(line);
      if (reply === undefined || reply.charCodeAt(0) > 0x33) return reply;
    }
    dialogue.write(`${mail.octets.replace(/^\./gm, "..")}.\r\n`);
    const reply = await dialogue.reply();
    if (reply !== undefined) void dialogue.say("QUIT");
    return reply;
  } finally {
    dialogue.close();
  }
}

/** A plain message whose marker is its Message-ID. */
export function plainMessage(facts: {
  readonly from: string;
  readonly to: string;
  readonly marker: string;
  readonly subject?: string;
  readonly body?: string;
}): string {
  return [
    `From: <${facts.from}>`,
    `To: <${facts.to}>`,
    `Subject: ${facts.subject ?? facts.marker}`,
    `Message-ID: <${facts.marker}>`,
    "Date: Sat, 21 Nov 2026 10:00:00 +0000",
    "",
    facts.body ?? "A line.",
    "",
  ].join("\r\n");
}
