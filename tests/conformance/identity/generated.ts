/** Mail of made-up domains: SPF, DKIM and DMARC in all sorts of ways to fit, and not to. */

import { pick, type Random } from "#base/random";
import { craft, ed25519Key, rsaKey, type TestKey } from "../../../src/identity/dkim/fixture.test.ts";
import type { Zone, ZoneEntry } from "../../kit/fake-dns.ts";

export interface Case {
  /** What was generated, for the reader of a failure. */
  readonly what: string;
  readonly ip: string;
  readonly helo: string;
  readonly mailFrom: string;
  readonly octets: Buffer;
}

export interface World {
  readonly cases: readonly Case[];
  /** Of all cases. */
  readonly zone: Zone;
}

const keys = { rsa: rsaKey("rsa"), ed: ed25519Key("ed"), short: rsaKey("short", 768) } as const;
const forms = ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"] as const;

const client = "198.51.100.7";

/** %A is the author's domain. */
const spfRecords: readonly (readonly [string, string | undefined])[] = [
  ["ip4", `v=spf1 ip4:${client} -all`],
  ["range", "v=spf1 ip4:198.51.100.0/24 ~all"],
  ["mx", "v=spf1 mx -all"],
  ["a of another", "v=spf1 a:mail.%A -all"],
  ["include", "v=spf1 include:inner.%A -all"],
  ["redirect", "v=spf1 redirect=inner.%A"],
  ["macro", "v=spf1 exists:%{ir}.listed.%A -all"],
  ["fail", "v=spf1 ip4:192.0.2.0/24 -all"],
  ["softfail", "v=spf1 mx:void.%A ~all"],
  ["neutral", "v=spf1 ?all"],
  ["no end", "v=spf1 ip4:192.0.2.1"],
  ["bad term", "v=spf1 ip4:192.0.2.300 -all"],
  ["no such include", "v=spf1 include:nowhere.%A -all"],
  ["loop", "v=spf1 include:%A -all"],
  ["none", undefined],
];

const dmarcRecords: readonly (readonly [string, string | undefined])[] = [
  ["p=none", "v=DMARC1; p=none"],
  ["quarantine", "v=DMARC1; p=quarantine; rua=mailto:reports@%A"],
  ["reject", "v=DMARC1; p=reject"],
  ["strict", "v=DMARC1; p=reject; aspf=s; adkim=s"],
  ["subdomains", "v=DMARC1; p=none; sp=reject"],
  ["none", undefined],
];

type Alter = (signed: string) => string;

interface Signing {
  readonly what: string;
  readonly key: TestKey;
  /** Of the selector: absent, no answer of use, or the key. */
  readonly record: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly alter: Alter;
}

const keep: Alter = (signed) => signed;

function signings(random: Random): readonly Signing[] {
  const key = pick(random, 2) === 0 ? keys.rsa : keys.ed;
  const type = key === keys.rsa ? "rsa" : "ed25519";
  const record = `v=DKIM1; k=${type}; p=${key.published}`;
  const sound = { key, record, tags: { c: forms[pick(random, 4)] ?? "" }, alter: keep };
  const short = keys.short;
  return [
    { ...sound, what: "sound" },
    { ...sound, what: "sound, all fields", tags: { ...sound.tags, h: "From:From:To:Subject:Date:Message-ID" } },
    { ...sound, what: "body changed", alter: (text) => text.replace("noon", "one o'clock") },
    { ...sound, what: "Subject changed", alter: (text) => text.replace("Lunch", "Dinner") },
    { ...sound, what: "To gone", alter: (text) => text.replace(/^To: .*\r\n/m, "") },
    {
      ...sound,
      what: "white space changed",
      alter: (text) => text.replace("Hello  Bea", "Hello Bea").replace("Subject: ", "Subject:  "),
    },
    { ...sound, what: "lines at the end", alter: (text) => `${text}\r\n\r\n` },
    { ...sound, what: "i= below", tags: { ...sound.tags, i: "news@lists.%D" } },
    { ...sound, what: "i= of another", tags: { ...sound.tags, i: "news@elsewhere.example" } },
    { ...sound, what: "t=s and i= below", record: `${record}; t=s`, tags: { i: "@lists.%D" } },
    { ...sound, what: "expired", tags: { ...sound.tags, t: "1000000000", x: "1000086400" } },
    { ...sound, what: "not yet expired", tags: { ...sound.tags, t: "1000000000", x: "4000000000" } },
    { ...sound, what: "no key", record: undefined },
    { ...sound, what: "revoked", record: `v=DKIM1; k=${type}; p=` },
    { ...sound, what: "key of another", record: `v=DKIM1; k=rsa; p=${short.published}` },
    { ...sound, what: "key for something else", record: `${record}; s=tlsrpt` },
    { ...sound, what: "key for sha1", record: `${record}; h=sha1` },
    { ...sound, what: "From is not signed", tags: { ...sound.tags, h: "To:Subject" } },
    { ...sound, what: "version 2", tags: { ...sound.tags, v: "2" } },
    {
      ...sound,
      what: "short key",
      key: short,
      record: `v=DKIM1; k=rsa; p=${short.published}`,
    },
  ];
}

export function generate(random: Random, count: number): World {
  const zone: Record<string, readonly ZoneEntry[]> = {};
  const cases = Array.from({ length: count }, (_, nth) => makeCase(random, nth, zone));
  return { cases, zone };
}

function makeCase(random: Random, nth: number, zone: Record<string, readonly ZoneEntry[]>): Case {
  const one = <Item>(items: readonly Item[]): Item => items[pick(random, items.length)] as Item;
  const organization = `a${nth}.example`;
  const author = one([organization, organization, `news.${organization}`]);
  const sender = one([author, author, organization, `b${nth}.example`]);
  const [spf, spfRecord] = spfRecords[nth % spfRecords.length] ?? ["", undefined];
  const [dmarc, dmarcRecord] = one(dmarcRecords);
  publish(zone, sender, spfRecord);
  if (dmarcRecord !== undefined) {
    zone[`_dmarc.${organization}`] = [{ TXT: dmarcRecord.replaceAll("%A", organization) }];
  }
  let text =
    `From: Ann <ann@${author}>\r\nTo: Bea <bea@example.net>\r\nSubject: Lunch\r\n` +
    `Date: Mon, 05 Jan 2026 10:00:00 +0000\r\nMessage-ID: <${nth}@${author}>\r\n\r\n` +
    "Hello  Bea,\r\n\r\nat noon?  \r\n\tAnn\r\n";
  const signed: string[] = [];
  for (let more = pick(random, 4) > 0 ? 1 + pick(random, 2) : 0; more > 0; more -= 1) {
    const { what, key, record, tags, alter } = one(signings(random));
    const domain = one([author, organization, `b${nth}.example`]);
    const selector = `s${more}`;
    if (record !== undefined) zone[`${selector}._domainkey.${domain}`] = [{ TXT: record }];
    const all = Object.entries({ d: domain, s: selector, ...tags });
    const filled = all.map(([name, value]) => [name, value.replace("%D", domain)] as const);
    text = alter(craft(text, { key, tags: Object.fromEntries(filled) }));
    signed.push(`${domain} ${what} ${key.algorithm} ${tags["c"] ?? ""}`);
  }
  const what = [`${nth}`, `From ${author}`, `MAIL FROM ${sender}`, `spf ${spf}`, `dmarc ${dmarc}`];
  return {
    what: [...what, ...signed].join("; "),
    ip: client,
    helo: `mail.${organization}`,
    mailFrom: `bounces@${sender}`,
    octets: Buffer.from(text, "latin1"),
  };
}

function publish(
  zone: Record<string, readonly ZoneEntry[]>,
  domain: string,
  record: string | undefined,
): void {
  const own: ZoneEntry[] = [{ MX: [10, `mail.${domain}`] }];
  if (record !== undefined) own.push({ TXT: record.replaceAll("%A", domain) });
  zone[domain] = own;
  zone[`mail.${domain}`] = [{ A: client }];
  zone[`inner.${domain}`] = [{ TXT: `v=spf1 ip4:${client} ?all` }];
  zone[`7.100.51.198.listed.${domain}`] = [{ A: "127.0.0.2" }];
}
