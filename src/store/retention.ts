/** Expunging what the rules let go: in order of UID, in slices, and never on the word of a clock that
 * has just jumped. */

import type { Clock } from "#base/clock";
import type { Log } from "#base/log";
import type { Mailboxes } from "#contracts/store";
import type { AccountId, MailboxRole } from "#model/mailbox";
import type { RetentionRule } from "#model/retention";
import { commitDrafts } from "./act.ts";
import type { Ledger } from "./ledger.ts";
import { draft, type Upkeep } from "./records.ts";
import { rulesOf } from "./retention-acts.ts";
import { mailboxId } from "./rows.ts";
import type { Views } from "./views.ts";

/** Rows looked at before others get their turn. */
const sliceRows = 500;
const dayMs = 86_400_000;

export interface RetentionReport {
  readonly expunged: number;
  /** By how much the clock jumped, when that is why nothing was done. */
  readonly jumpedMs?: number;
}

interface Parts {
  readonly views: Views;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly log: Log;
  readonly expunge: Mailboxes["expunge"];
}

interface MailboxFacts {
  readonly number: number;
  readonly account: AccountId;
  readonly role: MailboxRole | null;
  readonly name: string;
}

export class Retention {
  readonly #parts: Parts;
  readonly #openedTickMs: number;
  /** The last run of this process, by both clocks. */
  #last: { readonly atMs: number; readonly tickMs: number } | undefined;
  #running: Promise<RetentionReport> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#openedTickMs = parts.clock.tickMs();
  }

  /** Expunges what came into its mailbox longer ago than the rules allow. One run at a time. */
  run(nowMs: number): Promise<RetentionReport> {
    this.#running ??= this.#run(nowMs).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(nowMs: number): Promise<RetentionReport> {
    const { ledger, log } = this.#parts;
    const jumpedMs = this.#jump(nowMs);
    if (jumpedMs !== undefined) log.write("error", "store.retention-frozen", { jumpedMs });
    const expunged = jumpedMs === undefined ? await this.#applyRules(nowMs) : 0;
    await writeDown(ledger, "retention", nowMs);
    return { expunged, ...(jumpedMs !== undefined && { jumpedMs }) };
  }

  async #applyRules(nowMs: number): Promise<number> {
    const { views, log } = this.#parts;
    const rules = rulesOf(views);
    if (rules.length === 0) return 0;
    let expunged = 0;
    for await (const mailbox of this.#mailboxes()) {
      const rule = ruleFor(rules, mailbox);
      if (rule !== undefined) expunged += await this.#letGo(mailbox, rule.days, nowMs);
    }
    log.write("info", "store.retained", { rules: rules.length, expunged });
    return expunged;
  }

  /**
   * Time by the wall since the last run, less the time that passed: more than a day, either way, is
   * a jump. Only the wall tells of the time before this process: a day from the last run to its
   * end is right there, and after a longer absence one run is lost for nothing.
   */
  #jump(nowMs: number): number | undefined {
    const tickMs = this.#parts.clock.tickMs();
    const atMs = this.#last?.atMs ?? lastRunAtMs(this.#parts.views, "retention");
    const passedMs = tickMs - (this.#last?.tickMs ?? this.#openedTickMs);
    const forwardMs = this.#last === undefined ? 2 * dayMs : dayMs;
    this.#last = { atMs: nowMs, tickMs };
    if (atMs === undefined) return undefined;
    const jumpedMs = nowMs - atMs - passedMs;
    return jumpedMs > forwardMs || jumpedMs < -dayMs ? jumpedMs : undefined;
  }

  async *#mailboxes(): AsyncGenerator<MailboxFacts> {
    const { views } = this.#parts;
    const sql = `SELECT number, account, role, name FROM mailbox
      WHERE number > ? AND name IS NOT NULL ORDER BY number LIMIT ?`;
    for (let after = 0; ; ) {
      const rows = views.all(sql, after, sliceRows);
      for (const row of rows) {
        const facts = row as unknown as Omit<MailboxFacts, "name">;
        yield { ...facts, name: views.open<string>(row["name"]) };
      }
      if (rows.length < sliceRows) return;
      after = rows.at(-1)?.["number"] as number;
      await pause();
    }
  }

  /**
   * UIDs tell the order in which mail came, whatever the clock said. So what stands before a mail
   * that is too old goes with it, even when a clock of the future dated it; and from the first mail
   * on that is young enough nothing goes, even when a clock of the past dated it.
   */
  async #letGo({ number }: MailboxFacts, days: number, nowMs: number): Promise<number> {
    const { views, expunge } = this.#parts;
    const sql = `SELECT uid, entered_ms FROM entry WHERE mailbox = ? AND uid > ?
      ORDER BY uid LIMIT ?`;
    const limitMs = nowMs - days * dayMs;
    let expunged = 0;
    let from = 1;
    for (let after = 0; ; ) {
      const rows = views.all(sql, number, after, sliceRows) as unknown as EnteredRow[];
      const isYoung = ({ entered_ms }: EnteredRow): boolean =>
        entered_ms > limitMs && entered_ms <= nowMs;
      const firstYoung = rows.findIndex(isYoung);
      const candidates = firstYoung < 0 ? rows : rows.slice(0, firstYoung);
      const to = candidates.findLast(({ entered_ms }) => entered_ms <= limitMs)?.uid;
      if (to !== undefined) {
        expunged += (await expunge(mailboxId(number), [{ from, to }], "any", "retention")).length;
        from = to + 1;
      }
      if (firstYoung >= 0 || rows.length < sliceRows) return expunged;
      after = rows.at(-1)?.uid as number;
      await pause();
    }
  }
}

interface EnteredRow {
  readonly uid: number;
  readonly entered_ms: number;
}

/** The closest rule: the account's own first, then by name, role, and everything. */
export function ruleFor(
  rules: readonly RetentionRule[],
  mailbox: Pick<MailboxFacts, "account" | "role" | "name">,
): RetentionRule | undefined {
  const closeness = ({ account, mailbox: which }: RetentionRule): number => {
    if (account !== "*" && account !== mailbox.account) return -1;
    const own = account === "*" ? 0 : 3;
    if (which === "*") return own;
    if (roles.has(which)) return which === mailbox.role ? own + 1 : -1;
    return which === mailbox.name ? own + 2 : -1;
  };
  let best: RetentionRule | undefined;
  for (const rule of rules) {
    if (closeness(rule) > (best === undefined ? -1 : closeness(best))) best = rule;
  }
  return best;
}

const roles: ReadonlySet<string> = new Set<MailboxRole>([
  "inbox",
  "drafts",
  "sent",
  "trash",
  "junk",
  "archive",
]);

export function lastRunAtMs(views: Views, work: Upkeep): number | undefined {
  const sql = "SELECT at_ms FROM maintained WHERE work = ?";
  return views.get(sql, work)?.["at_ms"] as number | undefined;
}

export async function writeDown(ledger: Ledger, work: Upkeep, atMs: number): Promise<void> {
  await commitDrafts(ledger, [draft({ kind: "maintained", work, atMs })]);
}

function pause(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
