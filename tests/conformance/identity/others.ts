/** What OpenDKIM and rspamd say of a message, in the words of RFC 8601 §2.7. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Zone } from "../../kit/fake-dns.ts";
import type { Daemon } from "../../kit/rspamd.ts";
import type { Case, World } from "./generated.ts";

const opendkim = "/usr/sbin/opendkim";

/** Why there can be none here, or false. */
export const noOpendkim: string | false = existsSync(opendkim) ? false : "needs the package opendkim";

/** Result by the first eight characters of b=; what it will not judge is not there. */
export function askOpendkim({ cases, zone }: World): ReadonlyMap<string, string> {
  const folder = mkdtempSync(join(tmpdir(), "postern-opendkim-"));
  try {
    const files = cases.map(({ octets }, nth) => {
      const file = join(folder, `${nth}.eml`);
      writeFileSync(file, octets);
      return file;
    });
    const keys = join(folder, "keys");
    writeFileSync(keys, keysOf(zone));
    const config = join(folder, "opendkim.conf");
    writeFileSync(config, `TestDNSData file:${keys}\nAuthservID x\nSyslog no\n`);
    // "-vv" makes it print the field that it would add.
    const args = ["-b", "v", "-x", config, "-vv", "-t", files.join(",")];
    const { stdout } = spawnSync(opendkim, args, { encoding: "utf8", timeout: 30_000 });
    const results = stdout.matchAll(/\bdkim=(\w+)[^;]*?header\.b="?([^\s;"']{8})/g);
    return new Map([...results].map(([, result = "", mark = ""]) => [mark, result]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function keysOf(zone: Zone): string {
  return Object.entries(zone)
    .flatMap(([name, [entry]]) =>
      name.includes("._domainkey.") && typeof entry === "object" ? [`${name} ${entry["TXT"]}\n`] : [],
    )
    .join("");
}

export interface RspamdOpinion {
  readonly spf: string;
  /** Result by "domain:s=selector"; what it will not judge is not there. */
  readonly dkim: ReadonlyMap<string, string>;
  readonly dmarc: string;
}

type Symbols = Readonly<Record<string, { readonly options?: readonly string[] }>>;

export async function askRspamd({ port }: Daemon, asked: Case): Promise<RspamdOpinion> {
  const { ip, helo, mailFrom, octets } = asked;
  const response = await fetch(`http://127.0.0.1:${port}/checkv2`, {
    method: "POST",
    headers: { ip, helo, from: mailFrom },
    body: new Uint8Array(octets),
  });
  const { symbols } = (await response.json()) as { readonly symbols: Symbols };
  const first = (table: Readonly<Record<string, string>>): string =>
    Object.entries(table).find(([symbol]) => symbol in symbols)?.[1] ?? "";
  const dkim = Object.entries(dkimSymbols).flatMap(([symbol, result]) =>
    (symbols[symbol]?.options ?? []).map((signature) => [signature, result] as const),
  );
  return { spf: first(spfSymbols), dkim: new Map(dkim), dmarc: first(dmarcSymbols) };
}

const dkimSymbols = {
  R_DKIM_ALLOW: "pass",
  R_DKIM_REJECT: "fail",
  R_DKIM_PERMFAIL: "permerror",
  R_DKIM_TEMPFAIL: "temperror",
} as const;

const spfSymbols = {
  R_SPF_PERMFAIL: "permerror",
  R_SPF_ALLOW: "pass",
  R_SPF_FAIL: "fail",
  R_SPF_SOFTFAIL: "softfail",
  R_SPF_NEUTRAL: "neutral",
  R_SPF_DNSFAIL: "temperror",
  R_SPF_NA: "none",
} as const;

/** A failure has the symbol of the policy that it meets. */
const dmarcSymbols = {
  DMARC_POLICY_ALLOW: "pass",
  DMARC_POLICY_ALLOW_WITH_FAILURES: "pass",
  DMARC_POLICY_REJECT: "fail reject",
  DMARC_POLICY_QUARANTINE: "fail quarantine",
  DMARC_POLICY_SOFTFAIL: "fail none",
  DMARC_BAD_POLICY: "permerror",
  DMARC_DNSFAIL: "temperror",
  DMARC_NA: "none",
} as const;
