/** Does every door of this container answer? Exit code 0 or 1; its one argument is the data folder. */

import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";

interface Door {
  readonly host: string;
  readonly port: number;
}

const patienceMs = 3000;

/** ready.json is there only while everything runs; it names the doors of this machine. */
export function doorsOf(data: string): Door[] {
  const facts = JSON.parse(readFileSync(join(data, "ready.json"), "utf8")) as {
    readonly smtp?: Door;
    readonly submission?: Door;
    readonly imap?: Door;
    readonly https?: { readonly url: string };
  };
  const url = facts.https === undefined ? undefined : new URL(facts.https.url);
  const https = url && { host: url.hostname, port: Number(url.port || 443) };
  return [facts.smtp, facts.submission, facts.imap, https].filter((door) => door !== undefined);
}

export function answers({ host, port }: Door): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: host === "0.0.0.0" ? "127.0.0.1" : host, port });
    const end = (isUp: boolean): void => {
      socket.destroy();
      resolve(isUp);
    };
    socket.setTimeout(patienceMs, () => end(false));
    socket.once("connect", () => end(true)).once("error", () => end(false));
  });
}

if (import.meta.main) {
  try {
    const all = await Promise.all(doorsOf(process.argv[2] ?? "").map(answers));
    process.exitCode = all.every(Boolean) ? 0 : 1;
  } catch {
    process.exitCode = 1;
  }
}
