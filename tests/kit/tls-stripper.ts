/** Somebody in the middle, before a real mail server: records what a client says in clear, and keeps it from TLS. */

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/**
 * pass: only listens. strip: no server behind it offers STARTTLS. 454 and 502: the answers to
 * STARTTLS. injected: more in the clear than 220. garbage: what comes instead of a handshake.
 */
export type Meddling = "pass" | "strip" | "454" | "502" | "injected" | "garbage";

export interface TlsStripper extends AsyncDisposable {
  readonly port: number;
  /** Every octet that clients sent before a handshake began, of all connections. */
  heardInClear(): string;
  /** Connections on which a handshake began. */
  readonly handshakes: number;
}

export async function startTlsStripper(
  serverPort: number,
  meddling: Meddling,
): Promise<TlsStripper> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    return socket.on("error", () => {}).once("close", () => sockets.delete(socket));
  };
  let heard = "";
  let handshakes = 0;
  const listener = createServer((client) => {
    const server = connect({ host: "127.0.0.1", port: serverPort });
    keep(client).once("close", () => server.destroy());
    keep(server).once("close", () => client.destroy());
    let isSecret = false;
    let awaitsTls = false;
    client.on("data", (chunk: Buffer) => {
      if (isSecret && meddling === "garbage") return void client.write(garbage);
      if (isSecret) return void server.write(chunk);
      const text = chunk.toString("latin1");
      heard += text;
      if (!/^STARTTLS\r\n$/i.test(text)) return void server.write(chunk);
      const own = ownAnswer(meddling);
      if (own === undefined) {
        awaitsTls = true;
        server.write(chunk);
      } else {
        isSecret = meddling === "garbage";
        client.write(own);
      }
    });
    server.on("data", (chunk: Buffer) => {
      if (isSecret) return void client.write(chunk);
      const text = chunk.toString("latin1");
      if (awaitsTls && text.startsWith("220")) {
        isSecret = true;
        handshakes += 1;
      }
      client.write(meddling === "strip" ? withoutStartTls(text) : text, "latin1");
    });
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  return {
    port: (listener.address() as AddressInfo).port,
    heardInClear: () => heard,
    get handshakes() {
      return handshakes;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => void listener.close(done));
    },
  };
}

const garbage = Buffer.alloc(600, "Z");

function ownAnswer(meddling: Meddling): Buffer | undefined {
  switch (meddling) {
    case "454":
      return Buffer.from("454 4.7.0 TLS not available due to temporary reason\r\n");
    case "502":
      return Buffer.from("502 5.5.1 command not implemented\r\n");
    case "garbage":
      return Buffer.from("220 go ahead\r\n");
    case "injected":
      return Buffer.from("220 go ahead\r\n250 SIZE 1\r\n");
    default:
      return undefined;
  }
}

/** EHLO replies come whole from the servers of our tests. */
function withoutStartTls(text: string): string {
  const lines = text.split("\r\n").filter((line) => !/^250[- ]STARTTLS$/i.test(line));
  const last = lines.findLastIndex((line) => line !== "");
  return lines
    .map((line, index) => (index === last ? line.replace(/^250-/, "250 ") : line))
    .join("\r\n");
}
