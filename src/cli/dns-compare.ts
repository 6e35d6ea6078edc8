/** What is published beside what should be: by meaning where more than one text is right. */

import { systemClock } from "#base/clock";
import type { RecordData, RecordType, Resolver } from "#base/dns";
import { parseTagList } from "#formats/tag-list";
import { checkSpf } from "#identity/spf";
import { printable, wrapText } from "#identity/spf-advice";
import { explainRecord } from "./dns-explain.ts";
import type { WantedRecord } from "./dns-wanted.ts";

export interface ComparedRecord extends WantedRecord {
  /** "conflicting": several records where one is allowed. */
  readonly status: "ok" | "missing" | "different" | "conflicting" | "unchecked";
  /** As published. */
  readonly found: readonly string[];
  readonly note?: string;
}

type Outcome = Pick<ComparedRecord, "status" | "found" | "note">;

/** @param hostname of the mail server, whose mail the SPF record must let pass */
export async function compareRecords(
  wanted: readonly WantedRecord[],
  domain: string,
  hostname: string,
  resolver: Resolver,
): Promise<ComparedRecord[]> {
  const context = { domain, hostname, resolver };
  return await Promise.all(
    wanted.map(async (row) => ({ ...row, ...(await compare(row, context)) })),
  );
}

interface Context {
  readonly domain: string;
  readonly hostname: string;
  readonly resolver: Resolver;
}

async function compare(row: WantedRecord, context: Context): Promise<Outcome> {
  const published = await find(row, context.resolver);
  if ("failed" in published) {
    return { status: "unchecked", found: [], note: `DNS did not answer: ${published.failed}` };
  }
  const { found, authenticated } = published;
  if (row.type === "TLSA" && !authenticated) {
    return { status: "unchecked", found, note: "the zone is not signed: publish DNSSEC first" };
  }
  if (found.length === 0 && row.type === "CNAME") {
    const own = await records(context.resolver, row.fullName, "A");
    const addresses = own.map(({ address }) => address);
    if (own.length > 0) return { status: "ok", found: addresses, note: "an address of its own" };
  }
  if (found.length === 0) {
    const isHeld = row.notYet !== undefined && row.need === "may";
    return isHeld
      ? { status: "unchecked", found, note: `not yet: ${row.notYet}` }
      : { status: "missing", found };
  }
  return await judge(row, found, context);
}

async function judge(
  row: WantedRecord,
  found: readonly string[],
  context: Context,
): Promise<Outcome> {
  const same = found.some((text) => normal(text) === normal(row.value));
  switch (row.type) {
    case "A": {
      const isKnown = row.notYet === undefined;
      return { status: same || !isKnown ? "ok" : "different", found };
    }
    case "MX": {
      const hosts = found.map((text) => text.split(" ")[1]);
      const isListed = hosts.includes(`${context.hostname}.`);
      const others = hosts.length > 1 ? { note: "other servers take mail of the domain too" } : {};
      return { status: isListed ? "ok" : "different", found, ...(isListed && others) };
    }
    case "SRV": {
      const where = (text: string): string => text.split(" ").slice(2).join(" ");
      const isListed = found.some((text) => where(text) === where(row.value));
      return { status: isListed ? "ok" : "different", found };
    }
    case "CNAME":
    case "TLSA":
      return { status: same ? "ok" : "different", found };
    case "TXT":
      return await judgeText(row, found, context);
  }
}

async function judgeText(
  row: WantedRecord,
  found: readonly string[],
  context: Context,
): Promise<Outcome> {
  const [text = "", second] = found;
  const explained = explainRecord(text, row.fullName);
  const isOne = explained?.kind !== "DKIM";
  if (second !== undefined && isOne) {
    return { status: "conflicting", found, note: "one record is allowed, several are published" };
  }
  if (found.some((one) => normal(one) === normal(row.value))) return { status: "ok", found };
  if (explained?.kind === "DKIM" && keyOf(text) === keyOf(row.value))
    return { status: "ok", found };
  const broken = explained?.parts.find(({ level }) => level === "bad");
  if (broken !== undefined) {
    return { status: "different", found, note: `${broken.part}: ${broken.words}` };
  }
  if (explained?.kind === "SPF") return await judgeSpf(found, context);
  if (explained?.kind === "DKIM") return { status: "different", found };
  return { status: "ok", found, note: "another text than ours, and a valid one" };
}

/** A wizard's record is not ours to the letter; what counts is that our mail passes. */
async function judgeSpf(found: readonly string[], context: Context): Promise<Outcome> {
  const { domain, hostname, resolver } = context;
  const addresses = [
    ...(await records(resolver, hostname, "A")),
    ...(await records(resolver, hostname, "AAAA")),
  ].map(({ address }) => address);
  const mailFrom = `postmaster@${domain}`;
  for (const ip of addresses) {
    const question = { ip, helo: hostname, mailFrom, receiver: "localhost" };
    const { result, why } = await checkSpf(question, resolver, systemClock);
    if (result === "pass") continue;
    return { status: "different", found, note: `mail from ${ip} gets "${result}": ${why}` };
  }
  if (addresses.length === 0) {
    return { status: "different", found, note: `${hostname} has no address to judge it by` };
  }
  return { status: "ok", found, note: "another text than ours, and mail of our server passes" };
}

function keyOf(text: string): string {
  const parsed = parseTagList(text);
  return parsed.ok ? (parsed.value.get("p") ?? "").replace(/\s/g, "") : text;
}

function normal(text: string): string {
  return text.replace(/\s+/g, " ").trim().replace(/;$/, "").toLowerCase();
}

type Published =
  | { readonly failed: string }
  | { readonly found: readonly string[]; readonly authenticated: boolean };

/** Records of the wanted type as texts; of TXT those of the same kind. */
async function find(row: WantedRecord, resolver: Resolver): Promise<Published> {
  const types: readonly RecordType[] = row.type === "A" ? ["A", "AAAA"] : [row.type];
  const found: string[] = [];
  let authenticated = true;
  for (const type of types) {
    const answer = await resolver.query(row.fullName, type);
    if (answer.kind === "failed") return { failed: answer.why };
    if (answer.kind === "none") continue;
    authenticated &&= answer.authenticated;
    found.push(...answer.records.map((record) => recordText(type, record)));
  }
  if (row.type === "CNAME" && found.length === 0) {
    const own = await records(resolver, row.fullName, "A");
    found.push(...own.map(({ address }) => address));
  }
  const kind = row.type === "TXT" ? explainRecord(row.value, row.fullName)?.kind : undefined;
  const alike = found.filter(
    (text) => kind === undefined || explainRecord(text, row.fullName)?.kind === kind,
  );
  // Nothing found is no proof of an unsigned zone: the server of the records is asked instead.
  if (found.length === 0 && row.type === "TLSA") {
    const host = row.fullName.replace(/^_25\._tcp\./, "");
    const answer = await resolver.query(host, "A");
    authenticated = answer.kind === "found" && answer.authenticated;
  }
  return { found: alike, authenticated };
}

async function records<Type extends RecordType>(
  resolver: Resolver,
  name: string,
  type: Type,
): Promise<readonly RecordData[Type][]> {
  const answer = await resolver.query(name, type);
  return answer.kind === "found" ? answer.records : [];
}

/** As a zone file has it, names with their last dot. */
export function recordText(type: RecordType, record: RecordData[RecordType]): string {
  const data = record as Readonly<Record<string, string | number>>;
  switch (type) {
    case "MX":
      return `${data["preference"]} ${dotted(data["exchange"])}`;
    case "SRV":
      return `${data["priority"]} ${data["weight"]} ${data["port"]} ${dotted(data["target"])}`;
    case "TLSA":
      return `${data["usage"]} ${data["selector"]} ${data["matching"]} ${data["data"]}`;
    case "A":
    case "AAAA":
      return String(data["address"]);
    case "TXT":
      return printable(String(data["text"]));
    default:
      return dotted(data["name"]);
  }
}

function dotted(name: string | number | undefined): string {
  return name === "." ? "." : `${name}.`;
}

export function isWrong({ status, need }: ComparedRecord): boolean {
  if (status === "ok" || status === "unchecked") return false;
  return need !== "may" || status !== "missing";
}

export function comparedText(domain: string, rows: readonly ComparedRecord[]): string {
  const lines = rows.flatMap((row) => {
    const { status, type, name, value, found, note } = row;
    const head = `${status.padEnd(11)}  ${type.padEnd(5)}  ${name}`;
    const said = note === undefined ? [] : wrapText(note, "             ");
    if (status === "ok") return [head, ...said];
    if (status === "unchecked")
      return [head, ...said, ...found.map((text) => `    found     ${text}`)];
    const shown =
      found.length === 0 ? ["    found     nothing"] : found.map((text) => `    found     ${text}`);
    return [head, ...said, `    expected  ${value}`, ...shown];
  });
  const counts = (["missing", "different", "conflicting", "unchecked"] as const).flatMap(
    (status) => {
      const count = rows.filter((row) => row.status === status).length;
      return count === 0 ? [] : [`${count} ${status}`];
    },
  );
  const sum =
    counts.length === 0
      ? `All ${rows.length} are right.`
      : `${counts.join(", ")} of ${rows.length}.`;
  return [...lines, "", sum, `Why each: postern dns show ${domain}`].join("\n");
}
