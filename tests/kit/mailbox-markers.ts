/** Reads a whole INBOX over IMAP and says which messages are there, how often, and whether whole. */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:tls";
import type { Ready } from "./installation.ts";

export interface Found {
  readonly count: number;
  readonly whole: boolean;
}

/** @param isWhole judges a body by its marker (the Message-ID without brackets) */
export async function mailboxMarkers(
  ready: Ready,
  account: number,
  isWhole: (marker: string, body: string) => boolean,
): Promise<ReadonlyMap<string, Found>> {
  const { address, password } = ready.accounts[account] ?? { address: "", password: "" };
  const socket = connect({ ...ready.imap, ca: readFileSync(ready.ca), servername: "localhost" });
  await once(socket, "secureConnect");
  const found = new Map<string, Found>();
  let pending: Buffer = Buffer.alloc(0);
  const until = async (tag: string, onLiteral: (literal: string) => void): Promise<void> => {
    for (;;) {
      const end = pending.indexOf("\r\n");
      const line = end < 0 ? "" : pending.toString("latin1", 0, end);
      const size = /\{(\d+)\}$/.exec(line)?.[1];
      if (end >= 0 && size === undefined) {
        pending = pending.subarray(end + 2);
        if (line.startsWith(`${tag} OK`)) return;
        if (line.startsWith(`${tag} `)) throw new Error(`IMAP: ${line}`);
        continue;
      }
      if (end >= 0 && pending.length >= end + 2 + Number(size)) {
        onLiteral(pending.toString("latin1", end + 2, end + 2 + Number(size)));
        pending = pending.subarray(end + 2 + Number(size));
        continue;
      }
      const chunk = await nextChunk(socket);
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    }
  };
  const command = async (
    tag: string,
    text: string,
    onLiteral: (literal: string) => void = () => {},
  ): Promise<void> => {
    socket.write(`${tag} ${text}\r\n`);
    await until(tag, onLiteral);
  };
  await command("a", `LOGIN "${address}" "${password}"`);
  await command("b", "EXAMINE INBOX");
  await command("c", "UID FETCH 1:* (BODY.PEEK[])", (literal) => {
    const marker = /^Message-ID: <([^>]+)>/im.exec(literal)?.[1] ?? "";
    const body = literal.slice(literal.indexOf("\r\n\r\n") + 4);
    const before = found.get(marker);
    const whole = (before?.whole ?? true) && isWhole(marker, body);
    found.set(marker, { count: (before?.count ?? 0) + 1, whole });
  });
  socket.destroy();
  return found;
}

async function nextChunk(socket: import("node:tls").TLSSocket): Promise<Buffer> {
  const gone = new AbortController();
  const closed = once(socket, "close", { signal: gone.signal }).then(() => {
    throw new Error("IMAP connection ended");
  });
  try {
    const [chunk] = (await Promise.race([
      once(socket, "data", { signal: gone.signal }),
      closed,
    ])) as [Buffer];
    return chunk;
  } finally {
    gone.abort();
    closed.catch(() => {});
  }
}
