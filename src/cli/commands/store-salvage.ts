/** `postern store salvage`: every message that can still be read, as files. */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { openSalvage, type SalvagePlace, salvage } from "#store";
import { adminClient } from "../admin-client.ts";
import { ExitError, exitCodes, say } from "../exit.ts";
import { textTable } from "../table.ts";
import { dataOf, longMs, output } from "./shared.ts";
import { isRunning, masterOf, partsOf, stoppedStore } from "./stopped-store.ts";

interface Options {
  readonly to: string;
  readonly reason: string;
}

interface Report {
  readonly to: string;
  readonly written: number;
  readonly lost: readonly (SalvagePlace & { readonly lost: string })[];
  /** What came later could not be found: the index was gone, and the ledger cannot be read from here on. */
  readonly endsAt?: string;
}

/** From the hub, where octets are base64. */
type Part = SalvagePlace & { readonly octets?: string; readonly lost?: string };

export function addSalvageCommand(store: Command): void {
  store
    .command("salvage")
    .description("write every message that can be read as FOLDER/ACCOUNT/MAILBOX/UID.eml")
    .requiredOption("--to <folder>", "new or empty")
    .option("--reason <text>", "why; the owners of the mail see it", "salvage")
    .action(async (options: Options, command: Command) => {
      if (existsSync(options.to) && readdirSync(options.to).length > 0) {
        throw new ExitError(exitCodes.cannotOpen, `${options.to} is not empty`);
      }
      const work = (await isRunning(command)) ? fromHub : fromFiles;
      mkdirSync(options.to, { recursive: true, mode: 0o700 });
      const report = await work(command, options);
      output(command, report, () => reportText(report));
      if (report.lost.length > 0 || report.endsAt !== undefined) {
        process.exitCode = exitCodes.findings;
      }
    });
}

async function fromHub(command: Command, { to, reason }: Options): Promise<Report> {
  const lost: (SalvagePlace & { readonly lost: string })[] = [];
  let written = 0;
  const client = adminClient(dataOf(command), longMs);
  const wish = { reason, user: userInfo().username };
  await client.lines<object>("/store/salvage", wish, ({ part }) => {
    if (part === undefined) return;
    const { octets, lost: why, ...place } = part as Part;
    if (octets === undefined) lost.push({ ...place, lost: why ?? "" });
    else {
      write(to, place, Buffer.from(octets, "base64"));
      written += 1;
    }
  });
  return { to, written, lost };
}

async function fromFiles(command: Command, { to }: Options): Promise<Report> {
  await using master = await masterOf(command);
  const parts = partsOf(command, master);
  await using _lock = await stoppedStore(parts.directory);
  await using stopped = await openSalvage(parts);
  if (stopped === undefined) {
    throw new ExitError(exitCodes.cannotOpen, `${parts.directory}: there is no store here`);
  }
  say("The store is stopped: what is read now is not on the record that owners see.");
  const lost: (SalvagePlace & { readonly lost: string })[] = [];
  let written = 0;
  for await (const one of salvage(stopped.source)) {
    if ("lost" in one) lost.push(one);
    else {
      write(to, one, one.octets);
      written += 1;
    }
  }
  const { endsAt } = stopped;
  return { to, written, lost, ...(endsAt !== undefined && { endsAt }) };
}

function write(to: string, { address, mailbox, uid }: SalvagePlace, octets: Buffer): void {
  const folders = [address, ...mailbox.split("/")].map(safeName);
  const path = join(to, ...folders, `${uid}.eml`);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(path, octets, { mode: 0o600, flag: "wx" });
}

/** File systems take 255 octets. */
const maxNameBytes = 200;

/** A name of one folder, different for different texts; nothing in it leads elsewhere. */
export function safeName(text: string): string {
  const plain = text.replace(/[^\p{L}\p{N}@+_ .-]/gu, percent);
  // "12.eml" is what a message may be called, and "." and ".." lead elsewhere.
  const name = /^\.|^\d+\.eml$/i.test(plain) ? plain.replace(".", "%2E") : plain;
  if (Buffer.byteLength(name) <= maxNameBytes) return name;
  const sum = createHash("sha256").update(text).digest("hex").slice(0, 16);
  return `${Buffer.from(name)
    .subarray(0, maxNameBytes - 20)
    .toString("utf8")
    .replace(/\ufffd+$/, "")}%${sum}`;
}

function percent(text: string): string {
  return Buffer.from(text).toString("hex").replace(/../g, "%$&");
}

function reportText({ to, written, lost, endsAt }: Report): string {
  return [
    `${written} messages written to ${to}`,
    ...(endsAt === undefined
      ? []
      : [`NOT COMPLETE: without an index nothing was found behind this: ${endsAt}`]),
    ...(lost.length === 0
      ? []
      : [
          `${lost.length} could not be read:`,
          textTable(
            lost.map(({ address, mailbox, uid, message, lost: why }) => [
              `  ${address}`,
              mailbox,
              `UID ${uid}`,
              message,
              why,
            ]),
          ),
        ]),
  ].join("\n");
}
