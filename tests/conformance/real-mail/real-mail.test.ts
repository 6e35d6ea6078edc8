/** `postern check message` on real mail, and what mailauth and Python say of the same mail (CAP-54, CAP-66). */

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { before, describe, test } from "node:test";
import type { Source } from "#model/connection";
import type { ArcVerdict, DkimVerdict, DmarcVerdict, SenderIdVerdict, SpfVerdict } from "#model/verdict";
import { startFakeDns, type Zone } from "../../kit/fake-dns.ts";
import { application } from "../../kit/installation.ts";
import { noRealMail, realMail } from "../../kit/real-mail.ts";
import { mailauthFor, type Opinion } from "./mailauth.ts";
import { makeZone, prepare, type Sketch, sketchOf } from "./world.ts";

const count = 1000;

interface Asked {
  readonly name: string;
  readonly path: string;
  readonly octets: Buffer;
  readonly signed: boolean;
  readonly sketch: Sketch;
}

/** One line of the command, as far as it is compared. */
interface Answer {
  readonly id: string;
  readonly error?: string;
  readonly source: Source;
  readonly pra: { readonly kind: string; readonly address?: string };
  readonly spf: SpfVerdict;
  readonly senderId: SenderIdVerdict;
  readonly dkim: readonly DkimVerdict[];
  readonly arc: ArcVerdict;
  readonly dmarc: DmarcVerdict;
  readonly why: string;
  readonly authenticationResults: string;
}

interface Run {
  readonly answers: readonly Answer[];
  /** Longest time between two answers, and all of it; the first one with the start of the program. */
  readonly longestMs: number;
  readonly wholeMs: number;
}

async function ask(mails: readonly Asked[], zone: Zone): Promise<Run> {
  await using dns = await startFakeDns(zone);
  const server = `127.0.0.1:${dns.endpoint.port}`;
  const args = ["check", "message", "--batch", "--at", "2026-01-06", "--dns", server];
  const program = join(application, "programs/postern.ts");
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  for (const { name, path, octets, signed } of mails) {
    const message = signed ? { base64: octets.toString("base64") } : { file: path };
    child.stdin.write(`${JSON.stringify({ id: name, ...message })}\n`);
  }
  child.stdin.end();
  const answers: Answer[] = [];
  const startedAt = performance.now();
  let lastAt = startedAt;
  let longestMs = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    answers.push(JSON.parse(line) as Answer);
    const now = performance.now();
    if (answers.length > 1) longestMs = Math.max(longestMs, now - lastAt);
    lastAt = now;
  }
  return { answers, longestMs, wholeMs: lastAt - startedAt };
}

/** Where the two differ, and why ours stands. */
const reasons: readonly (readonly [string, (ours: Answer, theirs: Opinion, about: About) => boolean])[] =
  [
    [
      "no Received field names a host, so there is nothing that SPF could judge (RFC 7208 §2.4); mailauth evaluates without an address",
      ({ source, spf }, theirs, about) =>
        about === "spf" &&
        source.kind === "unknown" &&
        spf.result === "none" &&
        theirs.spf === "temperror",
    ],
    [
      "a signature without a key in the DNS is a permanent error (RFC 6376 §6.1.2); mailauth calls it neutral, or fail when the body was changed too",
      ({ dkim }, theirs, about) =>
        about === "dkim" &&
        dkim.every(
          ({ result, why }, index) =>
            result === theirs.dkim[index] ||
            (result === "permerror" &&
              why.startsWith("there is no key") &&
              ["neutral", "fail"].includes(theirs.dkim[index] ?? "")),
        ),
    ],
    [
      "a record whose policy cannot be read is an error that its owner should hear of; mailauth takes it for none, and both apply no policy (RFC 9989 §4.10.1)",
      ({ dmarc }, theirs, about) =>
        about === "dmarc" &&
        dmarc.result === "permerror" &&
        dmarc.policyDomain !== undefined &&
        theirs.dmarc === "none",
    ],
  ];

const abouts = ["spf", "dkim", "arc", "dmarc", "policy"] as const;
type About = (typeof abouts)[number];

/** In the words of mailauth. */
function opinionOf({ spf, dkim, arc, dmarc }: Answer): Opinion {
  return {
    spf: spf.result,
    dkim: dkim.map(({ result }) => result),
    arc: arc.result,
    dmarc: dmarc.result,
    policy: dmarc.policy ?? "",
  };
}

describe("postern check message on 1,000 real messages", { skip: noRealMail }, () => {
  let mails: readonly Asked[];
  let zone: Zone;
  let run: Run;

  before(async () => {
    const real = realMail(count);
    const sketches = real.map(({ octets }) => sketchOf(octets));
    zone = makeZone(sketches);
    mails = await Promise.all(
      real.map(async ({ name, path, octets }, index) => {
        const sketch = sketches[index] ?? assert.fail();
        return { name, path, sketch, ...(await prepare(name, octets, sketch)) };
      }),
    );
    run = await ask(mails, zone);
  });

  test("answers each one, in order and at once", (context) => {
    const { answers, longestMs, wholeMs } = run;
    assert.deepEqual(
      answers.map(({ id }) => id),
      mails.map(({ name }) => name),
    );
    for (const { id, error, why, authenticationResults } of answers) {
      assert.equal(error, undefined, id);
      assert.match(why, /\S.*\.$/s, id);
      assert.match(authenticationResults, /^Authentication-Results: localhost;\r\n[^]*\r\n$/, id);
    }
    context.diagnostic(`${Math.round(wholeMs)} ms, the longest ${Math.round(longestMs)} ms`);
    assert.ok(wholeMs < 60_000 && longestMs < 5000, `${wholeMs} ${longestMs}`);
  });

  test("says what mailauth says, but for the listed reasons", async (context) => {
    const opinion = mailauthFor(zone);
    const counts = new Map<string, number>();
    for (const [index, ours] of run.answers.entries()) {
      const { octets, sketch } = mails[index] ?? assert.fail();
      const ip = ours.source.kind === "unknown" ? "" : ours.source.address;
      const envelope = { ip, helo: ours.source.helo, sender: sketch.mailFrom };
      const theirs = await opinion(octets, envelope);
      for (const about of abouts) {
        const [our, their] = [opinionOf(ours)[about], theirs[about]].map(String);
        const line =
          our === their
            ? `${about} ${our === "" ? "not there" : our}`
            : reasons.find(([, explains]) => explains(ours, theirs, about))?.[0];
        if (line === undefined) assert.fail(JSON.stringify({ about, our, their, ours }, null, 1));
        counts.set(line, (counts.get(line) ?? 0) + 1);
      }
    }
    for (const [line, times] of [...counts].sort()) context.diagnostic(`${times}: ${line}`);
    for (const seen of ["spf pass", "spf softfail", "spf fail", "spf neutral", "dkim pass"]) {
      assert.ok((counts.get(seen) ?? 0) > 20, seen);
    }
    for (const seen of ["dkim fail", "arc pass", "arc fail", "dmarc pass", "dmarc fail"]) {
      assert.ok((counts.get(seen) ?? 0) > 5, seen);
    }
  });

  test("Sender ID agrees with SPF where both judge one domain (RFC 4406 §3.4)", () => {
    let same = 0;
    for (const { id, spf, senderId, source } of run.answers) {
      if (spf.domain !== senderId.domain || spf.domain === "" || source.kind === "unknown") continue;
      same += 1;
      assert.equal(senderId.result, spf.result, id);
    }
    assert.ok(same > 100, String(same));
  });

  const python = "/usr/bin/python3";
  test("finds the responsible address where Python's email package finds it (RFC 4407 §2)", {
    skip: existsSync(python) ? false : "needs python3",
  }, (context) => {
    const plain = mails.filter(({ octets }) => !/^resent-/im.test(octets.toString("latin1")));
    const input = JSON.stringify(
      Object.fromEntries(plain.map(({ name, octets }) => [name, octets.toString("base64")])),
    );
    const reader = join(import.meta.dirname, "pra.py");
    const child = spawnSync(python, ["-I", reader], { input, encoding: "utf8" });
    assert.equal(child.status, 0, child.stderr);
    const theirs = JSON.parse(child.stdout) as Record<string, string | null>;
    const answers = new Map(run.answers.map((one) => [one.id, one]));
    for (const { name } of plain) {
      assert.equal(answers.get(name)?.pra.address ?? null, theirs[name], name);
    }
    context.diagnostic(`${plain.length} messages without Resent fields`);
    assert.ok(plain.length > count * 0.9);
  });
});
