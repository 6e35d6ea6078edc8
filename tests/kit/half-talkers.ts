/**
 * Clients of a mail server that say nothing, or half of something, and stay: thousands, from as many
 * addresses as a test wants (each begins with a PROXY header), in a process of their own, which needs
 * as many descriptors. Run as a program: PORT.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { createInterface } from "node:readline";

/** The server trusts the PROXY headers of this address alone: `[balancer] mail`. */
export const crowdNetwork = "127.0.0.2/32";
const localAddress = "127.0.0.2";
/** Connections that wait for their greeting at once. */
const together = 200;

export interface Talkers {
  /** One connection from each. */
  readonly addresses: readonly string[];
  /** What they say, each after the answer to the one before; the last need not be a whole line. */
  readonly say: readonly string[];
  /** An octet more from each, every second. */
  readonly drips?: boolean;
}

export interface Crowd extends AsyncDisposable {
  /** @returns how many heard what as their greeting: "220", "421", "none" */
  add(talkers: Talkers): Promise<Readonly<Record<string, number>>>;
  /** How many are open now, as the crowd sees it. */
  open(): Promise<number>;
}

/** Clients that stopped in the middle of each part of a dialogue. @param to one of the recipients there */
export function halfDialogues(to: string): readonly (readonly string[])[] {
  const whole = ["EHLO c.example\r\n", "MAIL FROM:<>\r\n", `RCPT TO:<${to}>\r\n`, "DATA\r\n"];
  return [
    [],
    ["EH"],
    ...[1, 2, 3, 4].map((count) => whole.slice(0, count)),
    [...whole, "Subject:"],
  ];
}

/** As many addresses: IPv4 and IPv6 in turn, no two in one IPv6 network of 64 bits. */
export function manyAddresses(count: number): string[] {
  return Array.from({ length: count }, (_, nth) => {
    const [high, low] = [nth >> 8, nth & 255];
    if (nth % 2 === 0) return `198.18.${high}.${low}`;
    return `2001:db8:${high.toString(16)}:${low.toString(16)}::1`;
  });
}

export function startCrowd(port: number): Crowd {
  const child: ChildProcess = spawn(process.execPath, [import.meta.filename, String(port)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  if (child.stdout === null) throw new Error("no output");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (asked: Talkers | "open"): Promise<unknown> => {
    child.stdin?.write(`${JSON.stringify(asked)}\n`);
    const { value } = (await lines.next()) as { value?: string };
    return JSON.parse(value ?? "null");
  };
  return {
    add: async (talkers) => (await ask(talkers)) as Readonly<Record<string, number>>,
    open: async () => (await ask("open")) as number,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
}

async function serve(port: number): Promise<void> {
  let open = 0;
  /** Resolves with the first code, once everything was said that the answers allow. */
  const dial = (address: string, { say, drips }: Talkers): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect({ host: "127.0.0.1", port, localAddress, noDelay: true });
      let code = "none";
      let said = 0;
      const speak = (): void => {
        const next = say[said];
        said += 1;
        if (next !== undefined) socket.write(next);
        if (next?.endsWith("\r\n") === true) return; // its answer comes
        resolve(code);
        if (drips === true) setInterval(() => void socket.write("x"), 1000).unref();
      };
      const heard = (line: string): void => {
        if (code === "none") {
          code = line.slice(0, 3);
          if (code !== "220") return resolve(code);
          open += 1;
          socket.on("close", () => (open -= 1));
        }
        speak();
      };
      const lines = createInterface({ input: socket });
      lines.on("line", (line) => line[3] !== "-" && heard(line));
      lines.on("error", () => {});
      socket.on("error", () => resolve(code)).on("close", () => resolve(code));
      const family = address.includes(":") ? "TCP6" : "TCP4";
      const here = family === "TCP6" ? "::1" : "127.0.0.1";
      socket.write(`PROXY ${family} ${address} ${here} 40000 25\r\n`);
    });
  for await (const line of createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line) as Talkers | "open";
    if (asked === "open") {
      console.log(open);
      continue;
    }
    const codes: Record<string, number> = {};
    for (let at = 0; at < asked.addresses.length; at += together) {
      const some = asked.addresses.slice(at, at + together);
      for (const code of await Promise.all(some.map((one) => dial(one, asked)))) {
        codes[code] = (codes[code] ?? 0) + 1;
      }
    }
    console.log(JSON.stringify(codes));
  }
}

if (process.argv[1] === import.meta.filename) await serve(Number(process.argv[2]));
