/** An SMTP server that records every octet and answers as a test tells it. */

import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";

export interface SinkOptions {
  readonly greeting?: string;
  /** Lines of the EHLO reply; STARTTLS is added when there is a certificate. */
  readonly extensions?: readonly string[];
  readonly tls?: { readonly key: string; readonly cert: string };
  /**
   * The whole reply for a command line (or for "." after content), without its last CRLF;
   * undefined: as usual; "": silence; "close": breaks off.
   */
  readonly answer?: (line: string, session: number) => string | undefined;
}

export interface SinkMail {
  readonly from: string;
  readonly recipients: readonly string[];
  /** The content as it came over the wire: dots still doubled, the end mark left out. */
  readonly octets: Buffer;
  readonly tls: boolean;
  readonly session: number;
}

export class SmtpSink {
  readonly mails: SinkMail[] = [];
  /** Command lines of all sessions, in order. */
  readonly lines: string[] = [];
  sessions = 0;
  open = 0;
  /** Most sessions at the same time. */
  mostOpen = 0;
  readonly #options: SinkOptions;
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();

  constructor(options: SinkOptions = {}) {
    this.#options = options;
  }

  listen(host = "127.0.0.1"): Promise<number> {
    return this.listenAt(host, 0);
  }

  async listenAt(host: string, port: number): Promise<number> {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      this.serve(socket);
    });
    this.#server.listen(port, host);
    await once(this.#server, "listening");
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const server = this.#server;
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  serve(stream: Duplex): void {
    this.sessions += 1;
    this.open += 1;
    this.mostOpen = Math.max(this.mostOpen, this.open);
    const session = new SinkSession(this, this.#options, this.sessions, stream);
    stream.once("close", () => {
      this.open -= 1;
    });
    session.start();
  }
}

class SinkSession {
  readonly #sink: SmtpSink;
  readonly #options: SinkOptions;
  readonly #number: number;
  #stream: Duplex;
  #rest: Buffer = Buffer.alloc(0);
  #mode: "command" | "data" | number = "command";
  #lastChunk = false;
  #from = "";
  #recipients: string[] = [];
  #content: Buffer[] = [];
  #tls = false;

  constructor(sink: SmtpSink, options: SinkOptions, number: number, stream: Duplex) {
    this.#sink = sink;
    this.#options = options;
    this.#number = number;
    this.#stream = stream;
  }

  start(): void {
    this.#listen();
    this.#say(this.#options.greeting ?? "220 sink.test ESMTP");
  }

  #listen(): void {
    this.#stream.on("data", this.#onData);
    this.#stream.on("error", () => {});
    this.#stream.on("end", () => this.#stream.end());
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#step());
  };

  #say(text: string): void {
    if (text === "close") this.#stream.destroy();
    else if (text !== "") this.#stream.write(`${text}\r\n`);
  }

  #step(): boolean {
    if (this.#mode === "data") return this.#readData();
    if (typeof this.#mode === "number") return this.#readChunk(this.#mode);
    const end = this.#rest.indexOf("\r\n");
    if (end < 0) return false;
    const line = this.#rest.toString("utf8", 0, end);
    this.#rest = this.#rest.subarray(end + 2);
    this.#sink.lines.push(line);
    this.#command(line);
    return true;
  }

  #command(line: string): void {
    const told = this.#options.answer?.(line, this.#number);
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === "BDAT") {
      this.#mode = Number(line.split(" ")[1]);
      this.#lastChunk = / LAST$/i.test(line);
      return;
    }
    if (told !== undefined && verb !== "STAR") {
      if (verb === "RCPT" && told.startsWith("2")) this.#recipients.push(line.slice(8));
      return this.#say(told);
    }
    switch (verb) {
      case "EHLO":
        return this.#say(this.#ehlo());
      case "MAIL":
        this.#from = line.slice(10);
        return this.#say("250 2.1.0 ok");
      case "RCPT":
        this.#recipients.push(line.slice(8));
        return this.#say("250 2.1.5 ok");
      case "DATA":
        this.#mode = "data";
        return this.#say("354 go on");
      case "STAR":
        return this.#startTls(told ?? "220 go on");
      case "RSET":
        [this.#from, this.#recipients, this.#content] = ["", [], []];
        return this.#say("250 ok");
      case "QUIT":
        this.#say("221 bye");
        return void this.#stream.end();
      default:
        return this.#say("250 ok");
    }
  }

  #ehlo(): string {
    const lines = ["sink.test", ...(this.#options.extensions ?? [])];
    if (this.#options.tls !== undefined && !this.#tls) lines.push("STARTTLS");
    return lines.map((line, at) => `250${at === lines.length - 1 ? " " : "-"}${line}`).join("\r\n");
  }

  /** Strictly CRLF . CRLF, as RFC 5321 §4.1.1.4 wants it. */
  #readData(): boolean {
    const whole = this.#rest;
    const empty = whole.subarray(0, 3).equals(Buffer.from(".\r\n"));
    const mark = empty ? 0 : whole.indexOf("\r\n.\r\n");
    if (mark < 0) return false;
    this.#content.push(empty ? Buffer.alloc(0) : whole.subarray(0, mark + 2));
    this.#rest = whole.subarray(empty ? 3 : mark + 5);
    this.#mode = "command";
    this.#finish();
    return true;
  }

  #readChunk(size: number): boolean {
    if (this.#rest.length < size) return false;
    this.#content.push(this.#rest.subarray(0, size));
    this.#rest = this.#rest.subarray(size);
    this.#mode = "command";
    if (this.#lastChunk) this.#finish();
    else this.#say(this.#options.answer?.("BDAT", this.#number) ?? "250 2.0.0 chunk");
    return true;
  }

  #finish(): void {
    const told = this.#options.answer?.(".", this.#number);
    if (told === undefined || told.startsWith("2")) {
      this.#sink.mails.push({
        from: this.#from,
        recipients: this.#recipients,
        octets: Buffer.concat(this.#content),
        tls: this.#tls,
        session: this.#number,
      });
    }
    [this.#from, this.#recipients, this.#content] = ["", [], []];
    this.#say(told ?? "250 2.0.0 kept");
  }

  #startTls(told: string): void {
    const { tls } = this.#options;
    if (!told.startsWith("220") || tls === undefined) return this.#say(told);
    const plain = this.#stream;
    plain.removeAllListeners("data");
    plain.removeAllListeners("end");
    plain.pause(); // a client in this process may begin the handshake inside the next call
    this.#say(told);
    this.#rest = Buffer.alloc(0);
    this.#tls = true;
    this.#stream = new TLSSocket(plain, { isServer: true, ...tls });
    this.#listen();
  }
}
