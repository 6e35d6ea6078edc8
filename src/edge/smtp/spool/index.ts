/** Mail that waits in the DMZ: sealed before it touches the disk, handed in when the link is back. */

import type { Buffer } from "node:buffer";
import type { Clock } from "#base/clock";
import { Unavailable } from "#base/errors";
import type { Deposit, DepositEnd, PolicySnapshot } from "#contracts/deposit";
import type { Link, Links } from "#contracts/link";
import { seal } from "#contracts/sealed";
import type { Spool } from "./spool.ts";

export { openSpoolFiles, prepareSpool } from "./files.ts";
export { openSpool, type Spool } from "./spool.ts";

export interface SealedWriter {
  /** @throws Full, Unavailable */
  write(chunk: Uint8Array): Promise<void>;
  /** Resolves when the whole message is durable. */
  end(end: DepositEnd): Promise<void>;
  abort(): void;
}

export interface SealedSpool {
  /** False without a key to seal to. */
  usable(): boolean;
  /** Nothing when there is no key to seal to. */
  begin(deposit: Deposit): SealedWriter | undefined;
  waiting(): number;
  /** Hands in what waits, until all is in or the link is gone. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

export interface SealedSpoolPorts {
  readonly spool: Spool;
  readonly links: Links;
  readonly clock: Clock;
  readonly sealTo: () => PolicySnapshot["sealTo"];
  readonly onDrained: (id: string, outcome: "committed" | "refused" | "failed") => void;
}

/** Messages handed in at the same time: fresh mail has the link too. */
const drainWidth = 4;
/** The inside took none of it: later perhaps. */
const drainAgainMs = 60_000;

export function sealedSpool(ports: SealedSpoolPorts): SealedSpool {
  const { spool, links, clock } = ports;
  let draining: Promise<void> | undefined;
  const stop = links.onChange((_linkClass, up) => {
    if (up) void drain();
  });

  function drain(): Promise<void> {
    draining ??= drainAll().finally(() => (draining = undefined));
    return draining;
  }

  async function drainAll(): Promise<void> {
    const ids = [...spool.waiting()];
    let failed = false;
    const worker = async (): Promise<void> => {
      for (let id = ids.shift(); id !== undefined; id = ids.shift()) {
        const link = links.forKind("sealed");
        if (link === undefined) return;
        const outcome = await handIn(spool, link, id).catch(() => "failed" as const);
        if (outcome !== "committed") failed = true;
        ports.onDrained(id, outcome);
      }
    };
    await Promise.all(Array.from({ length: drainWidth }, worker));
    if (failed) clock.after(drainAgainMs, () => void drain());
  }

  return {
    usable: () => ports.sealTo() !== undefined,
    begin(deposit) {
      const keys = ports.sealTo();
      if (keys === undefined) return undefined;
      const sealer = seal(keys, deposit);
      const writer = spool.begin(deposit.id);
      return {
        write: (chunk) => writer.write(sealer.write(chunk)),
        async end(end) {
          await writer.write(sealer.end(end));
          await writer.commit();
          // The link may have come back meanwhile, unheard by a message still on its way.
          if (links.forKind("sealed") !== undefined) void drain();
        },
        abort: () => writer.abort(),
      };
    },
    waiting: () => spool.waiting().length,
    drain,
    async close() {
      stop();
      await draining;
      await spool.close();
    },
  };
}

/** Erased here only when the inside has it. */
async function handIn(spool: Spool, link: Link, id: string): Promise<"committed" | "refused"> {
  const stream = link.open("sealed", { id });
  try {
    for await (const part of spool.read(id) as AsyncIterable<Buffer>) {
      if (!stream.send(part)) await stream.drained();
    }
    stream.end();
    const answer = (await stream.answered) as { committed?: unknown } | null;
    if (answer?.committed !== true) return "refused";
  } catch (error) {
    stream.abort("spool failed");
    throw error instanceof Unavailable ? error : new Unavailable("spool failed", { cause: error });
  }
  await spool.erase(id);
  return "committed";
}
