/**
 * A program for a namespace: TCP connects to "all" 65,535 ports or to those named, and prints those
 * that opened as JSON. Arguments: address, milliseconds to wait for an answer, ports.
 */

import { connect } from "node:net";

const [address = "", waitMs = "1000", ...named] = process.argv.slice(2);
const parallel = 4000;
const waiting =
  named[0] === "all" ? Array.from({ length: 65_535 }, (_, index) => index + 1) : named.map(Number);
const open: number[] = [];

function tryPort(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const end = (isOpen: boolean): void => {
      socket.destroy();
      resolve(isOpen);
    };
    // On a busy machine the answer may lie there already: it is looked at once more.
    socket.setTimeout(Number(waitMs), () => setTimeout(() => end(false), 1));
    socket.once("connect", () => end(true)).once("error", () => end(false));
  });
}

async function work(): Promise<void> {
  for (let port = waiting.pop(); port !== undefined; port = waiting.pop()) {
    if (await tryPort(port)) open.push(port);
  }
}

await Promise.all(Array.from({ length: parallel }, work));
process.stdout.write(JSON.stringify(open.sort((one, other) => one - other)));
