/**
 * Mail to servers that lie: what each policy lets leave, with real TLS and HTTPS servers on loopback
 * (CAP-49; catalogue S6).
 */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, test } from "node:test";
import { type Clock, systemClock } from "#base/clock";
import type { RecordData } from "#base/dns";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { systemRandom } from "#base/random";
import type { ConnectorTls, OutboundConnector } from "#model/connector";
import { defaultOutbound } from "#transport/connectors";
import { openSession, smtpClientParameters, timeoutsOf } from "#transport/smtp-client";
import {
  createTlsPolicies,
  type Hop,
  type TlsEvidence,
  type TlsPolicies,
} from "#transport/tls-policy";
import { type Pair, TlsWorld, tlsaOf } from "../../../tests/kit/tls-world.ts";

const domain = "partner.example";
const mx = "mx.partner.example";
const address = "192.0.2.25";
const evil = "198.51.100.66";

function connectorWith(tls: Partial<ConnectorTls> = {}): OutboundConnector {
  return { ...defaultOutbound, name: "test", tls: { ...defaultOutbound.tls, ...tls } };
}

interface Site extends AsyncDisposable {
  readonly policies: TlsPolicies;
  readonly evidence: TlsEvidence[];
}

/** Five minutes are over when a test says so. */
let laterMs = 0;
const fiveMinutes = 300_000;
const clock: Clock = {
  ...systemClock,
  nowMs: () => systemClock.nowMs() + laterMs,
  tickMs: () => systemClock.tickMs() + laterMs,
};

function site(world: TlsWorld, file = ""): Site {
  const evidence: TlsEvidence[] = [];
  const policies = createTlsPolicies({
    resolver: world.resolver,
    dial: world.dial,
    file,
    clock,
    random: systemRandom,
    log: silentLog,
    registry: new Registry(),
    authorities: [world.authority.rootPem],
    report: (one) => evidence.push(one),
  });
  return { policies, evidence, [Symbol.asyncDispose]: () => policies[Symbol.asyncDispose]() };
}

interface Wish {
  readonly tls?: Partial<ConnectorTls>;
  readonly requireTls?: boolean;
}

/** As the queue does it: each host in order, once more in the clear where that is allowed. */
async function send(world: TlsWorld, at: Site, wish: Wish = {}): Promise<readonly string[]> {
  const connector = connectorWith({ authorities: [world.authority.rootPem], ...wish.tls });
  const found = await world.resolver.query(domain, "MX");
  assert.ok(found.kind === "found");
  const told: string[] = [];
  for (const { exchange } of found.records) {
    const addresses = await world.resolver.query(exchange, "A");
    assert.ok(addresses.kind === "found");
    const hop: Hop = {
      domain,
      host: exchange,
      viaMx: true,
      mxAuthenticated: found.authenticated,
      addressAuthenticated: addresses.authenticated,
      connector,
      requireTls: wish.requireTls === true,
      address: addresses.records[0]?.address ?? "",
    };
    const answer = await at.policies.demandFor(hop);
    if (!answer.ok) {
      at.policies.observed(hop, answer);
      told.push(`${answer.reply.code} ${answer.reply.status} ${answer.reply.text}`);
      continue;
    }
    const levels =
      answer.demand.level === "opportunistic" ? (["opportunistic", "none"] as const) : [undefined];
    for (const level of levels) {
      const stream = await world.dial({ host: hop.address ?? "", port: 25 });
      const opened = await openSession({
        stream,
        heloName: "us.example",
        tls: level === "none" ? { ...answer.demand, level } : answer.demand,
        timeouts: timeoutsOf(defaultsOf(smtpClientParameters)),
        clock: systemClock,
      });
      if (!opened.ok) {
        const { phase, reply } = opened.failure;
        at.policies.observed(hop, answer, { phase, text: String(reply.text) });
        told.push(`${reply.code} ${reply.status} ${reply.text}`);
        continue;
      }
      const { session } = opened;
      at.policies.observed(hop, answer, undefined, session.tls);
      const octets = Buffer.from("Subject: secret\r\n\r\nsecret\r\n");
      await session.send({
        envelope: { reversePath: "us@us.example", recipients: [{ path: `you@${domain}` }] },
        content: Readable.from([octets]),
        sizeBytes: octets.length,
      });
      await session.quit();
      const { tls } = session;
      told.push(
        tls === undefined ? "sent in the clear" : `sent ${tls.version} ${tls.proof ?? "unproven"}`,
      );
      return told;
    }
  }
  return told;
}

let variants = 0;
after(() => console.log(`S6, at the level of the TLS policy: ${variants} variants`));

interface Stage {
  readonly world: TlsWorld;
  readonly at: Site;
  readonly pair: Pair;
  readonly mails: () => readonly { readonly tls: boolean }[];
}

interface Setup {
  readonly pair?: (world: TlsWorld) => Pair;
  /** Of the TLS of the server; "none": no STARTTLS. */
  readonly server?: object | "none";
  readonly signed?: boolean;
  readonly policy?: string;
  readonly tlsa?: (world: TlsWorld, pair: Pair) => readonly RecordData["TLSA"][];
}

function variant(name: string, setup: Setup, run: (stage: Stage) => Promise<void>): void {
  variants += 1;
  test(`S6 CAP-49: ${name}`, async () => {
    await using world = new TlsWorld();
    const pair = setup.pair?.(world) ?? world.certificate({ names: [mx] });
    const { signed = false, server = {} } = setup;
    const sink = await world.mailServer(
      address,
      server === "none" ? undefined : { ...pair, ...server },
    );
    world.say("MX", domain, [{ preference: 10, exchange: mx }], signed);
    world.say("A", mx, [{ address }], signed);
    if (setup.tlsa) world.say("TLSA", `_25._tcp.${mx}`, setup.tlsa(world, pair), signed);
    if (setup.policy !== undefined) {
      (await world.policyHost(domain, "192.0.2.80")).body = setup.policy;
    }
    await using at = site(world);
    await run({ world, at, pair, mails: () => sink.mails });
  });
}

const enforce = `version: STSv1\nmode: enforce\nmx: ${mx}\nmax_age: 604800\n`;

function nothingLeft({ mails }: Stage): void {
  assert.equal(mails().length, 0, "nothing leaves");
}

variant("MTA-STS enforce, all well: sent with the proof", { policy: enforce }, async (stage) => {
  assert.deepEqual(await send(stage.world, stage.at), ["sent TLSv1.3 mta-sts"]);
  assert.deepEqual(
    stage.at.evidence.map(({ policy, failure }) => [policy.type, failure]),
    [["sts", undefined]],
  );
});

const enforced: readonly (readonly [string, Setup, RegExp, string])[] = [
  ["STARTTLS stripped", { server: "none" }, /starttls-not-supported/, "starttls-not-supported"],
  [
    "certificate for another name",
    { pair: (world) => world.certificate({ names: ["other.example"] }) },
    /certificate-host-mismatch/,
    "certificate-host-mismatch",
  ],
  [
    "expired certificate",
    { pair: (world) => world.certificate({ names: [mx], expired: true }) },
    /certificate-expired/,
    "certificate-expired",
  ],
  [
    "self-signed certificate",
    { pair: (world) => world.certificate({ names: [mx], selfSigned: true }) },
    /certificate-not-trusted/,
    "certificate-not-trusted",
  ],
  [
    "TLS 1.1 at most",
    { server: { maxVersion: "TLSv1.1", minVersion: "TLSv1", ciphers: "DEFAULT@SECLEVEL=0" } },
    /^4\d\d /,
    "validation-failure",
  ],
];
for (const [name, setup, told, result] of enforced) {
  variant(
    `MTA-STS enforce, ${name}: nothing leaves`,
    { ...setup, policy: enforce },
    async (stage) => {
      const [words = ""] = await send(stage.world, stage.at);
      assert.match(words, told);
      nothingLeft(stage);
      assert.deepEqual(
        stage.at.evidence.map(({ failure }) => failure?.result),
        [result],
      );
    },
  );
}

variant(
  "MTA-STS enforce, MX not listed (DNS spoofed): not even dialled",
  { policy: enforce },
  async (stage) => {
    const { world, at } = stage;
    const bad = "mx.evil.example";
    const sink = await world.mailServer(evil, world.certificate({ names: [bad] }));
    world.say("MX", domain, [{ preference: 1, exchange: bad }]);
    world.say("A", bad, [{ address: evil }]);
    const [words = ""] = await send(world, at);
    assert.match(
      words,
      /^451 4\.7\.5 the MTA-STS policy of partner\.example does not list mx\.evil\.example/,
    );
    assert.ok(!world.dialled.includes(`${evil}:25`));
    assert.equal(sink.mails.length, 0);
  },
);

variant(
  "MTA-STS enforce, MX and its signed zone with TLSA spoofed: DANE of a host that is not listed does not count",
  { policy: enforce },
  async ({ world, at }) => {
    const bad = "mx.evil.example";
    const pair = world.certificate({ names: [bad] });
    const sink = await world.mailServer(evil, pair);
    world.say("MX", domain, [{ preference: 1, exchange: bad }]);
    world.say("A", bad, [{ address: evil }], true);
    world.say("TLSA", `_25._tcp.${bad}`, [tlsaOf(pair.cert, 3, 1, 1)], true);
    assert.match((await send(world, at)).join(), /does not list/);
    assert.equal(sink.mails.length, 0);
  },
);

variant(
  "MTA-STS, address spoofed: the right name, the wrong certificate",
  { policy: enforce },
  async ({ world, at, mails }) => {
    const sink = await world.mailServer(evil, world.certificate({ names: ["mx.evil.example"] }));
    world.say("A", mx, [{ address: evil }]);
    assert.match((await send(world, at)).join(), /certificate-host-mismatch/);
    assert.equal(sink.mails.length + mails().length, 0);
  },
);

variant(
  "TXT record vanishes after the policy was seen: it holds",
  { policy: enforce, server: "none" },
  async (stage) => {
    const { world, at } = stage;
    await send(world, at);
    world.say("TXT", `_mta-sts.${domain}`, []);
    assert.match((await send(world, at)).join(), /starttls-not-supported/);
    world.fail("TXT", `_mta-sts.${domain}`);
    assert.match((await send(world, at)).join(), /starttls-not-supported/);
    nothingLeft(stage);
  },
);

variant(
  "policy host is gone and the id is new: the known policy holds",
  { server: "none" },
  async (stage) => {
    const { world, at } = stage;
    const host = await world.policyHost(domain, "192.0.2.80");
    host.body = enforce;
    await send(world, at);
    await host.close();
    world.say("TXT", `_mta-sts.${domain}`, [{ text: "v=STSv1; id=2" }]);
    laterMs += fiveMinutes;
    world.dialled.length = 0;
    assert.match((await send(world, at)).join(), /starttls-not-supported/);
    assert.ok(world.dialled.includes("192.0.2.80:443"), "the new policy was asked for");
    nothingLeft(stage);
  },
);

variant(
  "the attacker serves another policy with a certificate of his own: it is not taken",
  { server: "none" },
  async (stage) => {
    const { world, at } = stage;
    const host = await world.policyHost(domain, "192.0.2.80");
    host.body = enforce;
    await send(world, at);
    const forged = world.certificate({ names: ["mta-sts.partner.example"], selfSigned: true });
    (await world.policyHost(domain, "198.51.100.80", forged)).body =
      "version: STSv1\nmode: none\nmax_age: 60\n";
    world.say("TXT", `_mta-sts.${domain}`, [{ text: "v=STSv1; id=2" }]);
    laterMs += fiveMinutes;
    assert.match((await send(world, at)).join(), /starttls-not-supported/);
    assert.ok(world.dialled.includes("198.51.100.80:443"), "the attacker's was asked for");
    nothingLeft(stage);
  },
);

variant(
  "restart, with DNS and policy host gone: the file remembers",
  { server: "none" },
  async (stage) => {
    const { world } = stage;
    const folder = mkdtempSync(join(tmpdir(), "sts-"));
    const file = join(folder, "mta-sts.json");
    const host = await world.policyHost(domain, "192.0.2.80");
    host.body = enforce;
    {
      await using first = site(world, file);
      await send(world, first);
    }
    await host.close();
    world.say("TXT", `_mta-sts.${domain}`, []);
    await using second = site(world, file);
    assert.match((await send(world, second)).join(), /starttls-not-supported/);
    nothingLeft(stage);
    assert.ok(readFileSync(file, "utf8").includes(mx));
  },
);

variant(
  "the file is damaged: it is put aside, and the policy found again",
  { policy: enforce, server: "none" },
  async (stage) => {
    const file = join(mkdtempSync(join(tmpdir(), "sts-")), "mta-sts.json");
    writeFileSync(file, '{"version":1,"entries":[{"domain":');
    await using at = site(stage.world, file);
    assert.match((await send(stage.world, at)).join(), /starttls-not-supported/);
    nothingLeft(stage);
  },
);

variant(
  "MTA-STS testing, server without TLS: sent, and reported",
  {
    server: "none",
    policy: enforce.replace("enforce", "testing"),
  },
  async (stage) => {
    assert.deepEqual(await send(stage.world, stage.at), ["sent in the clear"]);
    assert.deepEqual(
      stage.at.evidence.map(({ policy, failure }) => [policy.type, failure?.result]),
      [["sts", "starttls-not-supported"]],
    );
  },
);

variant(
  "MTA-STS testing, wrong name: sent, and reported",
  {
    pair: (world) => world.certificate({ names: ["other.example"] }),
    policy: enforce.replace("enforce", "testing"),
  },
  async (stage) => {
    assert.deepEqual(await send(stage.world, stage.at), ["sent TLSv1.3 unproven"]);
    assert.equal(stage.at.evidence[0]?.failure?.result, "validation-failure");
  },
);

variant(
  "mode none: sent without TLS",
  { server: "none", policy: "version: STSv1\nmode: none\nmax_age: 60\n" },
  async (stage) => {
    assert.deepEqual(await send(stage.world, stage.at), ["sent in the clear"]);
  },
);

// DANE

const daneEe = (_world: TlsWorld, pair: Pair) => [tlsaOf(pair.cert, 3, 1, 1)];

for (const [selector, matching] of [
  [0, 0],
  [0, 1],
  [0, 2],
  [1, 0],
  [1, 1],
  [1, 2],
] as const) {
  variant(
    `DANE 3 ${selector} ${matching} on a self-signed certificate: sent with the proof`,
    {
      signed: true,
      pair: (world) => world.certificate({ names: ["whatever.example"], selfSigned: true }),
      tlsa: (_world, pair) => [tlsaOf(pair.cert, 3, selector, matching)],
    },
    async (stage) => {
      assert.deepEqual(await send(stage.world, stage.at), ["sent TLSv1.3 dane"]);
    },
  );
}

variant(
  "DANE 2 1 1 of the authority, name of the MX: sent with the proof",
  {
    signed: true,
    tlsa: (world) => [tlsaOf(world.authority.rootPem, 2, 1, 1)],
  },
  async (stage) => {
    assert.deepEqual(await send(stage.world, stage.at, { tls: { authorities: [] } }), [
      "sent TLSv1.3 dane",
    ]);
  },
);

variant(
  "DANE 2 1 1, certificate for another name: nothing leaves",
  {
    signed: true,
    pair: (world) => world.certificate({ names: ["other.example"] }),
    tlsa: (world) => [tlsaOf(world.authority.rootPem, 2, 1, 1)],
  },
  async (stage) => {
    assert.match((await send(stage.world, stage.at)).join(), /^4\d\d /);
    nothingLeft(stage);
  },
);

variant(
  "DANE, none of the records matches: nothing leaves",
  {
    signed: true,
    tlsa: (world) => [tlsaOf(world.certificate({ names: [mx] }).cert, 3, 1, 1)],
  },
  async (stage) => {
    assert.match((await send(stage.world, stage.at)).join(), /^4\d\d /);
    nothingLeft(stage);
    const [one] = stage.at.evidence;
    assert.deepEqual(
      [one?.policy.type, one?.policy.domain, one?.failure?.result],
      ["tlsa", mx, "tlsa-invalid"],
    );
  },
);

variant(
  "DANE, one of two records matches (a key is being changed): sent",
  {
    signed: true,
    tlsa: (world, pair) => [
      tlsaOf(world.certificate({ names: [mx] }).cert, 3, 1, 1),
      tlsaOf(pair.cert, 3, 1, 1),
    ],
  },
  async (stage) => {
    assert.deepEqual(await send(stage.world, stage.at), ["sent TLSv1.3 dane"]);
  },
);

variant(
  "DANE, STARTTLS stripped: nothing leaves",
  { signed: true, server: "none", tlsa: daneEe },
  async (stage) => {
    assert.match((await send(stage.world, stage.at)).join(), /starttls-not-supported/);
    nothingLeft(stage);
  },
);

variant(
  "DANE, TLS 1.1 at most: nothing leaves",
  {
    signed: true,
    server: { maxVersion: "TLSv1.1", minVersion: "TLSv1", ciphers: "DEFAULT@SECLEVEL=0" },
    tlsa: daneEe,
  },
  async (stage) => {
    assert.match((await send(stage.world, stage.at)).join(), /^4\d\d /);
    nothingLeft(stage);
  },
);

for (const why of ["server failure", "timeout"]) {
  variant(
    `DANE, the answer for TLSA is no answer (${why}): the host is not dialled`,
    { signed: true, tlsa: daneEe },
    async (stage) => {
      stage.world.fail("TLSA", `_25._tcp.${mx}`, why);
      assert.match((await send(stage.world, stage.at)).join(), /^451 4\.4\.3 .*dnssec-invalid/);
      assert.ok(!stage.world.dialled.includes(`${address}:25`));
      nothingLeft(stage);
      assert.equal(stage.at.evidence[0]?.failure?.result, "dnssec-invalid");
    },
  );
}

variant(
  "DANE, only records that nobody can use: TLS without authentication",
  {
    signed: true,
    pair: (world) => world.certificate({ names: ["other.example"], selfSigned: true }),
    tlsa: (_world, pair) => [
      tlsaOf(pair.cert, 1, 1, 1),
      { usage: 3, selector: 1, matching: 9, data: "00" },
    ],
  },
  async (stage) => {
    assert.match((await send(stage.world, stage.at)).join(), /^sent TLSv1\.3/);
  },
);

variant(
  "DANE, only records that nobody can use, STARTTLS stripped: nothing leaves",
  {
    signed: true,
    server: "none",
    tlsa: () => [{ usage: 0, selector: 0, matching: 1, data: "00".repeat(32) }],
  },
  async (stage) => {
    assert.match((await send(stage.world, stage.at)).join(), /starttls-not-supported/);
    nothingLeft(stage);
  },
);

variant(
  "TLSA in a zone that nobody signed: as without",
  {
    server: "none",
    tlsa: daneEe,
  },
  async (stage) => {
    assert.deepEqual(await send(stage.world, stage.at), ["sent in the clear"]);
  },
);

variant(
  "DANE stands where MTA-STS would not (RFC 8461 §2)",
  {
    signed: true,
    pair: (world) => world.certificate({ names: [mx], selfSigned: true }),
    tlsa: daneEe,
    policy: enforce.replace(`mx: ${mx}`, "mx: other.example"),
  },
  async (stage) => {
    assert.deepEqual(await send(stage.world, stage.at), ["sent TLSv1.3 dane"]);
  },
);

variant(
  "DANE fails where MTA-STS would stand: nothing leaves",
  {
    signed: true,
    tlsa: (world) => [tlsaOf(world.certificate({ names: [mx] }).cert, 3, 1, 1)],
    policy: enforce,
  },
  async (stage) => {
    assert.match((await send(stage.world, stage.at)).join(), /^4\d\d /);
    nothingLeft(stage);
  },
);

variant(
  "DANE by a signed alias of the MX",
  { signed: true },
  async ({ world, at, pair, mails }) => {
    world.say("CNAME", mx, [{ name: "real.example" }], true);
    world.say("TLSA", "_25._tcp.real.example", [tlsaOf(pair.cert, 3, 1, 1)], true);
    assert.deepEqual(await send(world, at), ["sent TLSv1.3 dane"]);
    assert.equal(mails().length, 1);
  },
);

// Connectors

const required = { level: "required" } as const;
const requiredCases: readonly (readonly [string, Setup, RegExp])[] = [
  ["STARTTLS stripped", { server: "none" }, /starttls-not-supported/],
  [
    "wrong name",
    { pair: (world) => world.certificate({ names: ["other.example"] }) },
    /host-mismatch/,
  ],
  ["expired", { pair: (world) => world.certificate({ names: [mx], expired: true }) }, /expired/],
  [
    "self-signed",
    { pair: (world) => world.certificate({ names: [mx], selfSigned: true }) },
    /not-trusted/,
  ],
  [
    "TLS 1.1",
    { server: { maxVersion: "TLSv1.1", minVersion: "TLSv1", ciphers: "DEFAULT@SECLEVEL=0" } },
    /^4\d\d /,
  ],
];
for (const [name, setup, told] of requiredCases) {
  variant(`connector with tls required, ${name}: nothing leaves`, setup, async (stage) => {
    assert.match((await send(stage.world, stage.at, { tls: required })).join(), told);
    nothingLeft(stage);
  });
}

variant("connector with tls required, all well: sent", {}, async (stage) => {
  assert.deepEqual(await send(stage.world, stage.at, { tls: required }), [
    "sent TLSv1.3 authority",
  ]);
});

variant(
  "connector with tls required, MX spoofed to a host with a good certificate: nothing leaves",
  {},
  async ({ world, at }) => {
    const bad = "mx.evil.example";
    const pair = world.certificate({ names: [bad] });
    const sink = await world.mailServer(evil, pair);
    world.say("MX", domain, [{ preference: 1, exchange: bad }]);
    world.say("A", bad, [{ address: evil }], true);
    world.say("TLSA", `_25._tcp.${bad}`, [tlsaOf(pair.cert, 3, 1, 1)], true);
    assert.match((await send(world, at, { tls: required })).join(), /outbound\.test\.tlsNames/);
    const named = { ...required, names: ["*.partner.example"] };
    assert.match((await send(world, at, { tls: named })).join(), /host-mismatch/);
    assert.equal(sink.mails.length, 0);
  },
);

variant(
  "connector with pins: another certificate is refused, whoever signed it",
  {},
  async (stage) => {
    const pins = ["00".repeat(32)];
    assert.match(
      (await send(stage.world, stage.at, { tls: { level: "pinned", pins } })).join(),
      /^4\d\d /,
    );
    nothingLeft(stage);
  },
);

variant(
  "connector with TLS 1.3 at least, server of 1.2: nothing leaves",
  {
    server: { maxVersion: "TLSv1.2" },
  },
  async (stage) => {
    const tls = { ...required, minVersion: "TLSv1.3" } as const;
    assert.match((await send(stage.world, stage.at, { tls })).join(), /^4\d\d /);
    nothingLeft(stage);
  },
);

// REQUIRETLS (RFC 8689 §4.2.1)

variant("REQUIRETLS to a domain with neither DNSSEC nor MTA-STS: returned", {}, async (stage) => {
  assert.match((await send(stage.world, stage.at, { requireTls: true })).join(), /^550 5\.7\.30 /);
  nothingLeft(stage);
});

variant("REQUIRETLS while the policy cannot be had: later", {}, async (stage) => {
  const host = await stage.world.policyHost(domain, "192.0.2.80");
  await host.close();
  assert.match(
    (await send(stage.world, stage.at, { requireTls: true })).join(),
    /^451 .*sts-policy-fetch-error/,
  );
  nothingLeft(stage);
});

variant(
  "REQUIRETLS, signed MX without TLSA: any authority, for the name",
  { signed: true },
  async (stage) => {
    assert.deepEqual(await send(stage.world, stage.at, { requireTls: true }), [
      "sent TLSv1.3 authority",
    ]);
  },
);

variant(
  "REQUIRETLS, signed MX without TLSA, self-signed: nothing leaves",
  {
    signed: true,
    pair: (world) => world.certificate({ names: [mx], selfSigned: true }),
  },
  async (stage) => {
    assert.match((await send(stage.world, stage.at, { requireTls: true })).join(), /not-trusted/);
    nothingLeft(stage);
  },
);

variant(
  "nobody demands anything: the default stays as it is",
  { server: "none" },
  async (stage) => {
    assert.deepEqual(await send(stage.world, stage.at), ["sent in the clear"]);
  },
);
