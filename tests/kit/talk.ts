/** Dialogues with servers, written as C: and S: lines, or step by step. */

import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import type { Endpoint } from "#base/net";

/** One connection from the client's side; everything received is kept as Latin-1 text. */
export class Talk implements Disposable {
  #socket: Socket;
  #text = "";
  #ended = false;
  #wake: (() => void) | undefined;
  readonly #limitMs: number;

  private constructor(socket: Socket, limitMs: number) {
    this.#socket = socket;
    this.#limitMs = limitMs;
    this.#listen(socket);
  }

  static async open(to: Endpoint, tls?: ConnectionOptions, limitMs = 5000): Promise<Talk> {
    const socket = connect({ host: to.host, port: to.port, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve).once("error", reject);
    });
    const talk = new Talk(socket, limitMs);
    if (tls !== undefined) await talk.secure(tls);
    return talk;
  }

  /** Octets exactly as given; text is sent as UTF-8. */
  send(octets: string | Buffer): void {
    if (!this.#socket.destroyed) this.#socket.write(octets);
  }

  /** One line as it came, without its CRLF. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf("\r\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        return line;
      }
      assert.ok(!this.#ended, `the connection ended after "${this.#text}"`);
      await this.#more();
    }
  }

  /** A whole SMTP reply; its lines are joined by "\n". */
  async reply(): Promise<string> {
    const lines = [await this.line()];
    while (lines.at(-1)?.[3] === "-") lines.push(await this.line());
    return lines.join("\n");
  }

  /** Sends a command line and gives the reply. */
  async ask(command: string): Promise<string> {
    this.send(`${command}\r\n`);
    return this.reply();
  }

  /** What else comes until the server closes. */
  async rest(): Promise<string> {
    while (!this.#ended) await this.#more();
    const text = this.#text;
    this.#text = "";
    return text;
  }

  /** Goes on inside TLS; certificates are checked only when `options` say so. */
  async secure(options: ConnectionOptions = {}): Promise<void> {
    const plain = this.#socket;
    plain.removeAllListeners("data").removeAllListeners("end").removeAllListeners("close");
    const socket = connectTls({ socket: plain, rejectUnauthorized: false, ...options });
    await new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", resolve).once("error", reject).once("close", reject);
    });
    this.#socket = socket;
    this.#listen(socket);
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #listen(socket: Socket): void {
    const end = (): void => {
      this.#ended = true;
      this.#wake?.();
    };
    socket.on("error", end).on("end", end).on("close", end);
    socket.on("data", (chunk) => {
      this.#text += chunk.toString("latin1");
      this.#wake?.();
    });
  }

  #more(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`nothing came after "${this.#text}"`)),
        this.#limitMs,
      );
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/**
 * Plays a transcript. "C: " lines are sent with CRLF; an "S: " line must be what comes next, its
 * prefix when it ends in "…"; "S: (closed)" expects the end. "C: (tls)" begins TLS. Other lines are
 * comments. SMTP replies of several lines are written as several S: lines.
 */
export async function talk(
  to: Endpoint,
  transcript: string,
  tls?: ConnectionOptions,
): Promise<void> {
  using client = await Talk.open(to, tls);
  for (const raw of transcript.split("\n")) {
    const step = raw.trimStart();
    if (step === "C: (tls)") await client.secure();
    else if (step.startsWith("C:")) client.send(`${step.slice(3)}\r\n`);
    else if (step.trimEnd() === "S: (closed)") assert.equal(await client.rest(), "");
    else if (step.startsWith("S:")) {
      const wanted = step.slice(3);
      const line = await client.line();
      if (wanted.endsWith("…")) {
        assert.equal(line.slice(0, wanted.length - 1), wanted.slice(0, -1), step);
      } else assert.equal(line, wanted);
    }
  }
}
