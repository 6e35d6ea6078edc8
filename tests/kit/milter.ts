/** A milter of the test's own: says what it is told to, to whoever asks. */

import { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Endpoint } from "#base/net";

/** One packet of the protocol. */
export function packet(letter: string, data: string | Uint8Array = ""): Buffer {
  const octets = typeof data === "string" ? Buffer.from(data, "utf8") : data;
  const head = Buffer.alloc(5);
  head.writeUInt32BE(octets.length + 1);
  head.write(letter, 4, "latin1");
  return Buffer.concat([head, octets]);
}

export function agreement(steps = 0, actions = 0x31, version = 6): Buffer {
  const numbers = Buffer.alloc(12);
  [version, actions, steps].forEach((number, index) =>
    numbers.writeUInt32BE(number >>> 0, index * 4),
  );
  return packet("O", numbers);
}

export function indexed(letter: string, index: number, text: string): Buffer {
  const number = Buffer.alloc(4);
  number.writeUInt32BE(index);
  return packet(letter, Buffer.concat([number, Buffer.from(text)]));
}

export interface FakeMilter extends AsyncDisposable {
  readonly endpoint: Endpoint;
  /** "inet:PORT@HOST", as an administrator writes it. */
  readonly name: string;
  /** Letter and data of each packet that came, one character an octet. */
  readonly heard: { readonly letter: string; readonly data: string }[];
  readonly open: ReadonlySet<Socket>;
}

/** Answers to a letter; "close", "silence" and "flood" are what they say. */
export type Answers = Readonly<Record<string, Buffer | "close" | "silence" | "flood">>;

const macro = "D";

/** @param answers by the letter that came; what is not named is answered by "continue" */
export async function startFakeMilter(answers: Answers = {}): Promise<FakeMilter> {
  const open = new Set<Socket>();
  const heard: FakeMilter["heard"] = [];
  const answer = (socket: Socket, letter: string): void => {
    if (letter === macro || letter === "Q") return;
    const told = answers[letter] ?? (letter === "O" ? agreement() : packet("c"));
    if (told === "close") socket.destroy();
    else if (told === "flood") {
      const say = (): void => {
        while (!socket.destroyed && socket.write(packet("p")));
      };
      socket.on("drain", say);
      say();
    } else if (told !== "silence") socket.write(told);
  };
  const server = createServer((socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket)).on("error", () => {});
    let held: Buffer = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      held = Buffer.concat([held, chunk]);
      while (held.length >= 4 && held.length >= 4 + held.readUInt32BE()) {
        const end = 4 + held.readUInt32BE();
        const letter = held.toString("latin1", 4, 5);
        heard.push({ letter, data: held.toString("latin1", 5, end) });
        held = held.subarray(end);
        answer(socket, letter);
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: { host: "127.0.0.1", port },
    name: `inet:${port}@127.0.0.1`,
    heard,
    open,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise((done) => void server.close(done));
    },
  };
}
