import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { seededRandom } from "#base/random";
import type { CertifyAnswer } from "#contracts/certify";
import { passingAuthorityName } from "#contracts/certify";
import { linkPair } from "#contracts/link";
import { createCertify } from "#edge/certify";
import { createAuthority, issueCertificate } from "#keys/authority";
import { testAuthority } from "../../../tests/kit/authority.ts";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { fakeClock, settle } from "../../../tests/kit/fake-clock.ts";
import { certificateRow } from "./console-row.ts";
import { certificateEvents } from "./events.ts";
import { startCertificates } from "./index.ts";
import { type Anchors, judge } from "./judge.ts";
import { placeOf } from "./places.ts";
import { dueReason, pauseAfter, startRenewal } from "./renewal.ts";

const dayMs = 86_400_000;
const nowMs = Date.now();
const authority = testAuthority(nowMs);
const own = createAuthority({ name: "Postern site authority", validDays: 3650, nowMs });
const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const read = (pem: string): X509Certificate[] =>
  pem
    .split(/(?<=-----END CERTIFICATE-----\n)/)
    .filter((one) => one.includes("BEGIN"))
    .map((one) => new X509Certificate(one));
const anchors: Anchors = { public: read(authority.rootPem), own: read(own.certificatePem) };
const names = ["mail.example"];
const ownLeaf = issueCertificate(own, {
  commonName: "mail.example",
  dnsNames: names,
  ipAddresses: [],
  usage: "server",
  validDays: 397,
  nowMs,
});

describe("judge()", () => {
  const at = (pem: string, place: "edge-web" | "edge-smtp" | "hub", laterMs = 0, wanted = names) =>
    judge(place, { names: wanted, outside: place !== "hub" }, read(pem), {
      anchors,
      nowMs: nowMs + laterMs,
    }).map(({ level, code }) => `${level} ${code}`);
  const chain = authority.chain({ names, publicKey, fromMs: nowMs, days: 90 });

  test("finds nothing wrong with a complete chain to a public root", () => {
    assert.deepEqual(at(chain, "edge-web"), []);
    assert.deepEqual(at(chain + authority.rootPem, "edge-web"), []);
  });

  test("CAP-35 self-signed and unknown outside are critical, our own authority too", () => {
    assert.deepEqual(at(selfSigned("mail.example").cert, "edge-web").slice(0, 1), [
      "critical self-signed",
    ]);
    assert.deepEqual(at(ownLeaf.certificatePem, "edge-smtp"), ["critical own-authority"]);
    assert.deepEqual(at(ownLeaf.certificatePem, "hub"), ["note own-authority"]);
    const stranger = testAuthority(nowMs).chain({ names, publicKey });
    assert.deepEqual(at(stranger, "edge-web"), ["critical unknown-authority"]);
  });

  test("CAP-37 a chain without its intermediate is critical outside", () => {
    const leaf = authority.issue({ names, publicKey });
    assert.deepEqual(at(leaf, "edge-web"), ["critical chain-incomplete"]);
    assert.deepEqual(at(leaf, "hub"), ["warning chain-incomplete"]);
    const passing = createAuthority({ name: passingAuthorityName, validDays: 398, nowMs });
    const wish = { commonName: "mail.example", dnsNames: names, ipAddresses: [] };
    const first = issueCertificate(passing, { ...wish, usage: "server", validDays: 397, nowMs });
    assert.deepEqual(at(first.certificatePem, "edge-web"), ["critical first-certificate"]);
  });

  test("CAP-34 a name that clients are told and is not in it is a finding", () => {
    const wanted = ["mail.example", "imap.example"];
    assert.deepEqual(at(chain, "hub", 0, wanted), ["critical name-missing"]);
    assert.deepEqual(at(chain, "edge-smtp", 0, wanted), ["warning name-missing"]);
  });

  test("says in time that it expires: 21 and 7 days before, later where it lives for days only", () => {
    const after = (days: number, of = chain): string[] => at(of, "edge-web", days * dayMs);
    assert.deepEqual(after(68), []);
    assert.deepEqual(after(70), ["warning expires-soon"]);
    assert.deepEqual(after(84), ["critical expires-soon"]);
    assert.deepEqual(after(91), ["critical expired"]);
    const short = authority.chain({ names, publicKey, fromMs: nowMs, days: 6 });
    assert.deepEqual(after(4, short), []);
    assert.deepEqual(after(4.6, short), ["warning expires-soon"]);
    assert.deepEqual(after(5.6, short), ["critical expires-soon"]);
  });

  test("a weak key is critical", () => {
    const weak = generateKeyPairSync("rsa", { modulusLength: 1024 });
    const pem = authority.chain({ names, publicKey: weak.publicKey });
    assert.deepEqual(at(pem, "hub"), ["critical weak-key"]);
  });
});

describe("renewal", () => {
  test("is due at two thirds of the lifetime, for a missing name, and for what we signed", () => {
    const chain = read(authority.chain({ names, publicKey, fromMs: nowMs, days: 90 }));
    assert.equal(dueReason(chain, names, nowMs + 59 * dayMs), undefined);
    assert.match(dueReason(chain, names, nowMs + 60 * dayMs) ?? "", /two thirds/);
    assert.match(dueReason(chain, ["other.example"], nowMs) ?? "", /other\.example/);
    assert.match(dueReason(read(ownLeaf.certificatePem), names, nowMs) ?? "", /our own/);
    assert.match(dueReason([], names, nowMs) ?? "", /nothing readable/);
  });

  test("pauses longer after each failure, at most a day and a quarter, never the same", () => {
    const random = seededRandom(1);
    const pauses = Array.from({ length: 40 }, (_, index) => pauseAfter(index + 1, random));
    assert.ok((pauses[0] ?? 0) >= 11 * 60_000 && (pauses[0] ?? 0) <= 19 * 60_000);
    assert.ok(pauses.every((pause) => pause <= 30 * 3_600_000));
    assert.equal(new Set(pauses).size, pauses.length);
  });

  test("a place that does not answer is asked again soon; others go on", async () => {
    const clock = fakeClock(nowMs);
    const chainPem = authority.chain({ names, publicKey, fromMs: nowMs, days: 90 });
    let isUp = false;
    const settings = { names, outside: true };
    const show = async (): Promise<CertifyAnswer> => ({ ok: true, served: { chainPem } });
    const places = [
      placeOf("edge-web", settings, async () => (isUp ? show() : { ok: false, why: "no link" })),
      placeOf("hub", settings, show),
    ];
    const registry = new Registry();
    const events = certificateEvents(silentLog, registry);
    using renewal = startRenewal({ places, clock, random: seededRandom(2), events });
    await clock.advance(6000);
    await settle(20);
    assert.deepEqual(
      renewal.attempts().map(({ outcome }) => outcome),
      ["waiting", "not-due"],
    );
    isUp = true;
    await clock.advance(70_000);
    await settle(20);
    assert.deepEqual(
      renewal.attempts().map(({ outcome }) => outcome),
      ["not-due", "not-due"],
    );
    const days = registry.samples().filter(({ name }) => name === "certificate_days_left");
    assert.deepEqual(
      days.map(({ value }) => value),
      [89, 89],
    );
  });
});

describe("startCertificates()", () => {
  const folders: string[] = [];
  after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

  test("an edge that lies or says nothing readable breaks nothing", async () => {
    const folder = mkdtempSync(join(tmpdir(), "postern-certificates-"));
    folders.push(folder);
    const [certFile, keyFile] = [join(folder, "tls.pem"), join(folder, "tls.key")];
    writeFileSync(certFile, ownLeaf.certificatePem);
    writeFileSync(keyFile, ownLeaf.keyPem);
    writeFileSync(join(folder, "ca.pem"), own.certificatePem);
    const clock = fakeClock(nowMs);
    const random = seededRandom(3);
    const ports = { clock, random, log: silentLog, registry: new Registry() };
    const [edge, hub] = linkPair();
    const lies: unknown[] = [
      null,
      7,
      { ok: true },
      { ok: true, served: { chainPem: 5 } },
      {
        ok: true,
        served: { chainPem: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----" },
      },
      { ok: true, served: { chainPem: authority.rootPem.repeat(200) } },
      { ok: false, why: "x".repeat(100_000) },
    ];
    edge.onStream((stream) => stream.answer(lies.shift() ?? null));
    const place = { names, outside: true };
    const asked: (readonly string[])[] = [];
    using certificates = startCertificates({
      ...ports,
      settings: {
        authority: join(folder, "ca.pem"),
        areNamesGiven: false,
        places: { "edge-web": place, "edge-smtp": place, hub: { names, outside: false } },
        acme: {
          directory: "",
          agreeTerms: false,
          contact: [],
          caFile: "",
          direct: false,
          eabKeyId: "",
          eabKeyFile: "",
        },
      },
      folder,
      own: createCertify({ certFile, keyFile, ...ports }),
      links: { "edge-web": () => hub, "edge-smtp": () => undefined },
      dial: () => assert.fail("must not dial"),
      policyHosts: async (known) => {
        asked.push(known);
        return ["mta-sts.one.example"];
      },
    });
    for (let round = lies.length; round > 0; round -= 1) {
      const state = await certificates.show();
      assert.equal(state.places.length, 3);
      assert.ok(JSON.stringify(state).length < 200_000);
      assert.deepEqual(
        state.places[1]?.findings.map(({ code }) => code),
        ["no-answer"],
      );
      assert.equal(state.places[2]?.served?.end, "own");
      // CAP-49: policy hosts are names of the web edge alone.
      assert.deepEqual(state.places[0]?.wantedNames, [...names, "mta-sts.one.example"]);
      assert.deepEqual(state.places[1]?.wantedNames, names);
    }
    assert.deepEqual(asked.slice(0, 2), [[], ["mta-sts.one.example"]]);
    await assert.rejects(certificates.order({}), /acme\.directory is not set/);
    assert.equal(certificateRow(await certificates.show()).state, "caution");
    hub.close("done");
  });
});
