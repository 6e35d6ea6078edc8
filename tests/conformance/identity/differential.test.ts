/** Opinions of generated mail: OpenDKIM's of signatures, rspamd's and mailauth's of SPF, DKIM and DMARC. */

import assert from "node:assert/strict";
import { before, describe, type TestContext, test } from "node:test";
import { systemClock } from "#base/clock";
import { seededRandom } from "#base/random";
import { identityRules, MessageChecks } from "#identity/checks";
import type { DkimVerdict, DmarcVerdict, SpfVerdict } from "#model/verdict";
import { startFakeDns, zoneResolver } from "../../kit/fake-dns.ts";
import { noRspamd, startRspamd } from "../../kit/rspamd.ts";
import { mailauthFor } from "../real-mail/mailauth.ts";
import { type Case, generate } from "./generated.ts";
import { askOpendkim, askRspamd, noOpendkim, type RspamdOpinion } from "./others.ts";

const world = generate(seededRandom(9989), 150);

interface Ours {
  readonly spf: SpfVerdict;
  readonly dkim: readonly DkimVerdict[];
  readonly dmarc: DmarcVerdict;
}

const rules = identityRules({ ownRelays: [], trustedSealers: [], praMode: "rfc4407" });

async function check({ ip, helo, mailFrom, octets }: Case): Promise<Ours> {
  const ports = { resolver: zoneResolver(world.zone), clock: systemClock };
  const delivered = { ip, helo, mailFrom, receiver: "mx.example.org" };
  const checks = new MessageChecks(delivered, rules, ports);
  checks.write(octets);
  const { verdicts } = await checks.finish();
  return {
    spf: verdicts.find(({ method }) => method === "spf") as SpfVerdict,
    dkim: verdicts.filter(({ method }) => method === "dkim") as DkimVerdict[],
    dmarc: verdicts.find(({ method }) => method === "dmarc") as DmarcVerdict,
  };
}

let ours: readonly Ours[] = [];
before(async () => {
  ours = await Promise.all(world.cases.map(check));
});

/** Says how often each line came, and fails on what nobody has explained. */
class Tally {
  readonly #lines = new Map<string, number>();

  add(line: string | undefined, about: object): void {
    if (line === undefined) assert.fail(JSON.stringify(about, null, 1));
    this.#lines.set(line, (this.#lines.get(line) ?? 0) + 1);
  }

  print(context: TestContext): void {
    for (const [line, times] of [...this.#lines].sort()) context.diagnostic(`${times}: ${line}`);
  }
}

/** What the other one says (undefined: nothing) where we say so, and why ours stands. */
type Reason = readonly [why: RegExp, theirs: string | undefined, text: string];

function explain(
  { result, why }: DkimVerdict,
  their: string | undefined,
  reasons: readonly Reason[],
): string | undefined {
  if (result === their) return `both ${result}`;
  return reasons.find(([pattern, theirs]) => theirs === their && pattern.test(why))?.[2];
}

const ofOpendkim: readonly Reason[] = [
  [/^(?:the key does not allow|the key is (?:not for|revoked)|there is no key)/, "fail", "no key of use is a permanent error (RFC 6376 §6.1.2), which OpenDKIM reports as fail"],
];

describe("OpenDKIM", { skip: noOpendkim }, () => {
  test("says the same of each signature, but for the listed reasons", (context) => {
    const theirs = askOpendkim(world);
    const tally = new Tally();
    for (const [index, { what }] of world.cases.entries()) {
      const { dkim } = ours[index] ?? assert.fail();
      const lacksKey = dkim.some(({ why }) => why.startsWith("there is no key"));
      for (const verdict of dkim) {
        if (verdict.result === "none") continue;
        const their = theirs.get(verdict.mark);
        const isHidden = what.includes("white space changed") && / simple\//.test(what);
        const line =
          explain(verdict, their, ofOpendkim) ??
          (lacksKey && their === undefined
            ? "of a message with a signature whose key is missing OpenDKIM says nothing"
            : isHidden && their === "pass"
              ? "a milter does not see the space behind the colon, so OpenDKIM cannot tell that it changed"
              : undefined);
        tally.add(line, { what, verdict, their });
      }
    }
    tally.print(context);
  });
});

const ofRspamd: readonly Reason[] = [
  [/^(?:From is not signed|v= is not 1|the signature has expired)/, undefined, "rspamd passes over a signature that is no valid one (RFC 6376 §6.1.1: permanent error)"],
  [/^i= is not within d=/, "pass", "i= must lie within d= (RFC 6376 §6.1.1); rspamd does not look at it"],
  [/^the key does not allow subdomains/, "pass", "a key with t=s wants i= in d= itself (RFC 6376 §3.6.1); rspamd does not look at it"],
  [/^the key is not for/, "pass", "rspamd does not read h= and s= of a key (RFC 6376 §3.6.1)"],
  [/^the key is (?:for rsa|not for)/, "fail", "a key that cannot be the signature's is a permanent error (RFC 6376 §6.1.2), which rspamd reports as a bad signature"],
  [/^an RSA key of 768 bits/, "pass", "keys below 1024 bits are not to be believed (RFC 8301 §3.2)"],
];

describe("rspamd", { skip: noRspamd }, () => {
  const theirs: RspamdOpinion[] = [];

  before(async () => {
    await using dns = await startFakeDns(world.zone);
    await using rspamd = await startRspamd("", dns.endpoint);
    // A few at a time: what waits too long for its DNS becomes a temporary error.
    for (let at = 0; at < world.cases.length; at += 10) {
      const some = world.cases.slice(at, at + 10);
      theirs.push(...(await Promise.all(some.map((one) => askRspamd(rspamd, one)))));
    }
  });

  test("says the same of SPF, but that it goes on behind an error", (context) => {
    const tally = new Tally();
    for (const [index, { what }] of world.cases.entries()) {
      const { result, why } = ours[index]?.spf ?? assert.fail();
      const their = theirs[index]?.spf;
      const goesOn = result === "permerror" && their === "fail";
      const reason = goesOn
        ? "an error ends the evaluation (RFC 7208 §4.6); rspamd passes over the term and comes to -all"
        : undefined;
      tally.add(result === their ? `both ${result}` : reason, { what, result, why, their });
    }
    tally.print(context);
  });

  test("says the same of each signature, but for the listed reasons", (context) => {
    const tally = new Tally();
    for (const [index, { what }] of world.cases.entries()) {
      for (const verdict of ours[index]?.dkim ?? []) {
        if (verdict.result === "none") continue;
        const their = theirs[index]?.dkim.get(`${verdict.domain}:s=${verdict.selector}`);
        tally.add(explain(verdict, their, ofRspamd), { what, verdict, their });
      }
    }
    tally.print(context);
  });

  test("says the same of DMARC, but where it believed a signature that we do not", (context) => {
    const tally = new Tally();
    for (const [index, { what }] of world.cases.entries()) {
      const { dmarc, dkim } = ours[index] ?? assert.fail();
      const { dmarc: their, dkim: signatures } = theirs[index] ?? assert.fail();
      const our = dmarc.result === "fail" ? `fail ${dmarc.policy}` : dmarc.result;
      const believed = dkim.some(
        ({ result, domain, selector }) =>
          result !== "pass" && signatures.get(`${domain}:s=${selector}`) === "pass",
      );
      const reason =
        their === "pass" && believed ? "it believed a signature, for a reason above" : undefined;
      tally.add(our === their ? `both ${our}` : reason, { what, dmarc, their });
    }
    tally.print(context);
  });
});

describe("mailauth", () => {
  test("says the same of SPF and DMARC, and of which signatures pass", async (context) => {
    const opinion = mailauthFor(world.zone);
    const tally = new Tally();
    for (const [index, { what, octets, ip, helo, mailFrom: sender }] of world.cases.entries()) {
      const { spf, dmarc, dkim } = ours[index] ?? assert.fail();
      const theirs = await opinion(octets, { ip, helo, sender });
      const passing = (results: readonly string[]): string =>
        results.map((one) => (one === "pass" ? one : "not")).join(" ");
      const pairs = [
        ["spf", spf.result, theirs.spf],
        ["dmarc", `${dmarc.result} ${dmarc.policy ?? ""}`, `${theirs.dmarc} ${theirs.policy}`],
        ["dkim", passing(dkim.map(({ result }) => result)), passing(theirs.dkim)],
      ] as const;
      for (const [about, our, their] of pairs) {
        tally.add(our === their ? `${about}: both ${our}` : undefined, { what, about, our, their });
      }
    }
    tally.print(context);
  });
});
