/** What the console and `postern status` say of the store, and of how mail is sealed. */

import { X509Certificate } from "node:crypto";
import { quantileOf } from "#assurance/measures";
import type { StoreStats } from "#contracts/store";
import type { StoreHealth } from "#store";
import type { Backups } from "./backups.ts";
import type { HealthRow } from "./console-page.ts";
import { type Inside, readText } from "./inside.ts";

/** CAP-92: what protects mail while it moves, and while it lies. */
export interface SealState {
  readonly wire: { readonly versions: string; readonly untilMs: number; readonly names: string };
  readonly rest: {
    readonly cipher: string;
    /** Id of the master key. */
    readonly master: string;
    /** Whether new keys would be sealed under the same; undefined when the keyring is silent. */
    readonly isCurrent: boolean | undefined;
    readonly source: "file" | "credential" | "pkcs11";
  };
}

export interface StoreFacts {
  readonly stats: StoreStats;
  readonly health: StoreHealth;
  readonly flushP99Seconds?: number;
  readonly lastBackupMs?: number;
  readonly lastDrillMs?: number;
}

type Parts = Pick<Inside, "store" | "registry">;

export async function storeFacts(
  { store, registry }: Parts,
  backups: Pick<Backups, "state">,
): Promise<StoreFacts> {
  const p99 = quantileOf(registry.samples(), "store_flush_seconds", 0.99);
  const { lastGoodBackup, lastGoodDrill } = backups.state();
  return {
    stats: await store.stats(),
    health: await store.health(),
    ...(p99 !== undefined && { flushP99Seconds: p99 }),
    ...(lastGoodBackup !== undefined && { lastBackupMs: lastGoodBackup.atMs }),
    ...(lastGoodDrill !== undefined && { lastDrillMs: lastGoodDrill.atMs }),
  };
}

export async function sealState({
  settings,
  store,
  keyring,
}: Pick<Inside, "settings" | "store" | "keyring">): Promise<SealState> {
  const certificate = new X509Certificate(readText(settings.tls.certificate));
  const ids = await keyring.masterIds().catch(() => undefined);
  const master = store.masterId;
  return {
    wire: {
      versions: "TLS 1.2 or 1.3",
      untilMs: certificate.validToDate.getTime(),
      names: (certificate.subjectAltName ?? "").replaceAll("DNS:", ""),
    },
    rest: {
      cipher: "AES-256-GCM",
      master,
      isCurrent: ids && ids.current === master,
      source: settings.keyring.masterSource,
    },
  };
}

const dayMs = 86_400_000;
const renewMs = 14 * dayMs;

/** Two lines, because one of them can be right while the other is not. */
export function sealRows({ wire, rest }: SealState, nowMs: number): readonly HealthRow[] {
  const leftMs = wire.untilMs - nowMs;
  const until = new Date(wire.untilMs).toISOString().slice(0, 10);
  const source = { file: "a file", credential: "a credential", pkcs11: "a token" }[rest.source];
  const sealed = `${rest.cipher}, under the master key ${rest.master} from ${source}`;
  return [
    {
      question: "Is mail sealed on the wire?",
      state: leftMs <= 0 ? "danger" : leftMs < renewMs ? "caution" : "good",
      answer: `${wire.versions} for people and between the programs, certificate ${leftMs <= 0 ? "ended" : "until"} ${until}; with other servers when they offer it`,
    },
    {
      question: "Is mail sealed at rest?",
      state: rest.isCurrent === true ? "good" : "caution",
      answer:
        rest.isCurrent === undefined
          ? `${sealed}; the keyring does not answer`
          : rest.isCurrent
            ? sealed
            : `${sealed}, which is not the current one: postern store rekey`,
    },
  ];
}

export function keptRow({ stats, health }: StoreFacts): HealthRow {
  const question = "Is mail kept?";
  const counts = `${stats.messages} messages, ${mebibytes(stats.sizeBytes)} in ${stats.segments} segments`;
  const { damaged, repairedThisWeek } = health;
  if (damaged.length > 0) {
    const answer = `${counts}; ${placesText(damaged.length)} beyond repair, see below`;
    return { question, state: "danger", answer };
  }
  if (repairedThisWeek > 0) {
    const pages = repairedThisWeek === 1 ? "one page" : `${repairedThisWeek} pages`;
    const answer = `${counts}; ${pages} had to be repaired this week: look at the disk`;
    return { question, state: "caution", answer };
  }
  return { question, state: "good", answer: counts };
}

function placesText(count: number): string {
  return count === 1 ? "one place is" : `${count} places are`;
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(0)} MiB`;
}
