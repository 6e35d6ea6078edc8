/** A10: policies and alignment on zones of our own; mailauth, which follows RFC 9989 too, as second opinion. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { dmarc as mailauthDmarc } from "mailauth/lib/dmarc/index.js";
import { pick, type Random, seededRandom } from "#base/random";
import type { Author } from "#identity/author";
import { checkDmarc } from "#identity/dmarc";
import type { DmarcVerdict } from "#model/verdict";
import { cases, type DmarcCase } from "../../../tests/conformance/dmarc/a10-cases.ts";
import { type Zone, type ZoneEntry, zoneResolver } from "../../../tests/kit/fake-dns.ts";

/** Where mailauth reads the RFC in another way; the reason stands beside. */
const otherOpinion: Readonly<Record<string, string>> = {
  "p that is no policy, without rua": "§9.2 names permerror for malformed records; mailauth: none",
  "sp that is no policy, without rua": "the same",
  "np that is no policy, without rua": "the same",
  "p twice: the first counts": "§4.8 discards what breaks the syntax; mailauth takes the last",
  "P= is another tag than p=": "tag names have a case (RFC 6376 §3.2); mailauth folds it",
  "leading space: not a record": "§4.8 has no space before v; mailauth trims",
  "more than one author": "mailauth gives no verdict at all (false)",
  "no author": "the same",
};

function zoneOf({ zone: published, hosts = [] }: DmarcCase): Zone {
  const zone: Record<string, readonly ZoneEntry[]> = {};
  for (const host of hosts) {
    const [name = "", kind] = host.split("!");
    zone[name] =
      kind === undefined
        ? [{ A: "192.0.2.1" }]
        : kind === "CNAME"
          ? [{ CNAME: "gone.example.net" }]
          : [kind as "SERVFAIL"];
  }
  for (const [domain, value] of Object.entries(published)) {
    const name = `_dmarc.${domain}`;
    if (value === "SERVFAIL" || value === "TIMEOUT") zone[name] = [value];
    else if (value === "LOOP") zone[name] = [{ CNAME: name }];
    else
      zone[name] = [value].flat().map((text) => ({
        TXT: text.startsWith("=") ? text.slice(1) : `v=DMARC1; ${text}`,
      }));
  }
  return zone;
}

describe("A10 (RFC 9989)", () => {
  for (const one of cases) {
    test(`A10 ${one.name}`, async () => {
      const { verdict, queries, ours, theirs } = await bothOpinions(one);
      const { result, ...rest } = one.expect;
      assert.equal(verdict.result, result, verdict.why);
      for (const [key, value] of Object.entries(rest)) {
        assert.deepEqual(verdict[key as keyof DmarcVerdict], value, `${key}: ${verdict.why}`);
      }
      if (one.queries !== undefined) assert.equal(queries, one.queries);
      if (otherOpinion[one.name] === undefined) assert.deepEqual(theirs, ours, "mailauth");
      else assert.notDeepEqual(theirs, ours, "the difference is gone");
    });
  }

  test("A10 every difference that is listed is a case", () => {
    const names = new Set(cases.map(({ name }) => name));
    assert.equal(names.size, cases.length);
    for (const name of Object.keys(otherOpinion)) assert.ok(names.has(name), name);
    assert.ok(cases.length >= 60, String(cases.length));
  });

  test("A10 mailauth thinks the same of 2000 zones made at random", async () => {
    const seen: Record<string, number> = {};
    for (let seed = 0; seed < 2000; seed += 1) {
      const one = randomCase(seededRandom(seed));
      const { verdict, queries, ours, theirs } = await bothOpinions(one);
      assert.deepEqual(theirs, ours, `seed ${seed}: ${JSON.stringify(one)}: ${verdict.why}`);
      const vouches = verdict.spfAligned || verdict.dkimAligned.length > 0;
      assert.equal(verdict.result === "pass", vouches);
      assert.ok(queries <= 8 * 4 + 2, `seed ${seed}`);
      seen[verdict.result] = (seen[verdict.result] ?? 0) + 1;
    }
    for (const result of ["none", "pass", "fail", "temperror"]) {
      assert.ok((seen[result] ?? 0) > 30, `${result}: ${seen[result]}`);
    }
  });
});

/** Names of one small tree, records that both read alike, and a DNS that fails now and then. */
function randomCase(random: Random): DmarcCase {
  const oneOf = <Value>(list: readonly Value[]): Value => list[pick(random, list.length)] as Value;
  const domain = (): string => {
    const below = Array.from({ length: pick(random, 4) }, () => oneOf(["a", "b"]));
    const deep = pick(random, 8) === 0 ? "c.d.e.f.g.h." : "";
    return `${below.map((label) => `${label}.`).join("")}${deep}${oneOf(["com", "x.com", "y.com", "org"])}`;
  };
  const policy = () => oneOf(["none", "quarantine", "reject"]);
  const record = (): string => {
    const tags = [`p=${policy()}`];
    for (const name of ["sp", "np"]) if (pick(random, 3) === 0) tags.push(`${name}=${policy()}`);
    for (const name of ["adkim", "aspf"]) if (pick(random, 3) === 0) tags.push(`${name}=s`);
    if (pick(random, 3) === 0) tags.push(oneOf(["psd=y", "psd=n", "psd=u"]));
    if (pick(random, 4) === 0) tags.push("t=y");
    return tags.join("; ");
  };
  const zone: Record<string, string | readonly string[]> = {};
  for (let count = pick(random, 7); count > 0; count -= 1) {
    const fails = oneOf(["SERVFAIL", "TIMEOUT"]);
    const kind = pick(random, 12);
    zone[domain()] = kind === 0 ? fails : kind === 1 ? [record(), record()] : record();
  }
  const from = domain();
  const published = Object.keys(zone);
  const near = () =>
    oneOf([from, `a.${from}`, from.slice(from.indexOf(".") + 1), ...published, domain()]);
  return {
    name: "",
    zone,
    hosts: [from, `${from}!CNAME`, `${from}!SERVFAIL`].slice(pick(random, 4)).slice(0, 1),
    from,
    ...(pick(random, 2) === 0 && { spf: oneOf([near(), `${from}!fail`]) }),
    dkim: Array.from({ length: pick(random, 3) }, near),
    expect: { result: "none" },
  };
}

/** Our verdict and mailauth's, the policy only where there is a decision. */
async function bothOpinions(one: DmarcCase) {
  const zone = zoneOf(one);
  const resolver = zoneResolver(zone);
  const name = { localPart: "a", domain: one.from, name: null };
  const author: Author =
    one.from === ""
      ? { kind: one.authors ?? "none", why: "for the test", shown: [] }
      : { kind: "one", address: `a@${one.from}`, ...name };
  const spf = one.spf === undefined ? undefined : spfVerdict(one.spf);
  const dkim = (one.dkim ?? []).map(dkimVerdict);
  const verdict = await checkDmarc({ author, spf, dkim }, resolver);
  const other = await askMailauth(one, zone);
  const isDecided = verdict.result === "pass" || verdict.result === "fail";
  return {
    verdict,
    queries: resolver.queries.length,
    ours: { result: verdict.result, ...(isDecided && { policy: verdict.policy }) },
    theirs: { result: other.result, ...(isDecided && { policy: other.policy }) },
  };
}

function spfVerdict(text: string) {
  const [domain = "", result = "pass", identity = "mailfrom"] = text.split("!");
  return { method: "spf", result, domain, identity, why: "" } as never;
}

function dkimVerdict(text: string) {
  const [domain = "", result = "pass"] = text.split("!");
  return {
    method: "dkim",
    result,
    domain,
    selector: "s",
    identity: `@${domain}`,
    why: "",
  } as never;
}

/** mailauth's resolver answers with lists, and throws codes of node:dns. */
async function askMailauth(
  one: DmarcCase,
  zone: Zone,
): Promise<{ readonly result: string; readonly policy?: string }> {
  const resolver = zoneResolver(zone);
  const resolve = async (name: string, type: "TXT" | "A" | "CNAME"): Promise<unknown[]> => {
    const answer = await resolver.query(name, type);
    if (answer.kind === "found") {
      return answer.records.map((record) => ("text" in record ? [record.text] : record));
    }
    const code = answer.kind === "failed" ? "ESERVFAIL" : answer.nxdomain ? "ENOTFOUND" : "ENODATA";
    throw Object.assign(new Error(code), { code });
  };
  const passing = (text: string) => text.split("!")[1] === undefined || text.includes("!pass");
  const said = (await mailauthDmarc({
    headerFrom: `a@${one.from}`,
    spfDomains: [one.spf ?? "!none"].filter(passing).map((text) => text.split("!")[0] ?? ""),
    dkimDomains: (one.dkim ?? []).filter(passing).map((domain) => ({ domain })),
    resolver: resolve,
  } as never)) as { status?: { result: string }; policy?: string } | false;
  if (said === false) return { result: "no verdict" };
  return {
    result: said.status?.result ?? "",
    ...(said.policy !== undefined && { policy: said.policy }),
  };
}
