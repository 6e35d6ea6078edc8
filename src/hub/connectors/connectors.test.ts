import assert from "node:assert/strict";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { Unavailable } from "#base/errors";
import type { Log } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import type { OutboundConnector } from "#model/connector";
import type { Attempt } from "#model/queue";
import {
  completeInbound,
  completeOutbound,
  defaultOutbound,
  inboundParameters,
  type OutboundValues,
  outboundParameters,
} from "#transport/connectors";
import { smtpClientParameters, timeoutsOf } from "#transport/smtp-client";
import { connectorDemand } from "#transport/tls-policy";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { fakeClock } from "../../../tests/kit/fake-clock.ts";
import { type SinkOptions, SmtpSink } from "../../../tests/kit/smtp-sink.ts";
import { connectorFacts, connectorHealth, type ProbePorts, probe, watchSecrets } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "hub-connectors-"));
after(() => rmSync(folder, { recursive: true }));
const dayMs = 86_400_000;
const nowMs = Date.UTC(2026, 10, 22);

function outbound(name: string, some: Partial<OutboundValues>): OutboundConnector {
  return completeOutbound(name, {
    ...defaultsOf(outboundParameters),
    spaces: ["partner.example"],
    ...some,
  });
}

function secretFile(name: string, ageDays: number): string {
  const file = join(folder, name);
  writeFileSync(file, "hush hush\n", { mode: 0o600 });
  const seconds = (nowMs - ageDays * dayMs) / 1_000;
  utimesSync(file, seconds, seconds);
  return file;
}

const provider = (secretFiles: readonly string[]): OutboundConnector =>
  outbound("provider", {
    hosts: ["smtp.provider.example"],
    tls: "required",
    auth: "scram",
    user: "us",
    secretFiles,
    schedule: ["00:00-24:00"],
  });

const partner = (secretFiles: readonly string[]) =>
  completeInbound("partner", {
    ...defaultsOf(inboundParameters),
    user: "them",
    senderDomains: ["partner.example"],
    secretFiles,
  });

describe("connectorFacts()", () => {
  test("CAP-45 shows age and expiry of both secrets, and never a secret", () => {
    const files = [secretFile("old", 400), secretFile("new", 40)];
    const ports = {
      outbound: [provider(files)],
      inbound: [partner([join(folder, "missing")])],
      health: connectorHealth(),
    };
    const [out, standIn, in_] = connectorFacts(ports, nowMs);
    assert.deepEqual(out?.login?.secrets, [
      {
        file: files[0],
        ageDays: 400,
        expiresAtMs: nowMs - 35 * dayMs,
        isExpired: true,
        openToAll: false,
      },
      {
        file: files[1],
        ageDays: 40,
        expiresAtMs: nowMs + 325 * dayMs,
        isExpired: false,
        openToAll: false,
      },
    ]);
    assert.equal(standIn?.name, "default");
    assert.match(in_?.login?.fault ?? "", /missing: no secret there/);
    assert.doesNotMatch(JSON.stringify([out, standIn, in_]), /hush/);
  });

  test("CAP-42 shows certificates by their names, never a key", () => {
    const { cert, key } = selfSigned("us.example");
    const connector = outbound("a", { tls: "required" });
    const tls = {
      ...connector.tls,
      authorities: [cert],
      client: { certificate: cert, key },
    };
    const ports = { outbound: [{ ...connector, tls }], inbound: [], health: connectorHealth() };
    const text = JSON.stringify(connectorFacts(ports, nowMs));
    assert.match(text, /CN=us\.example/);
    assert.doesNotMatch(text, /BEGIN/);
  });

  test("CAP-42 blames no connector for servers of the recipients' domains", () => {
    const health = connectorHealth();
    const failed = (connector: string, remote: string, atMs: number): void => {
      const reply = { code: 451, text: "no" };
      const attempt = { remote, atMs, durationMs: 1, outcome: "deferred", reply } as const;
      health.attempted(connector, attempt);
    };
    const hosts = ["smtp.provider.example:587", "192.0.2.9"];
    const outbounds = [
      outbound("provider", { hosts, spaces: ["*"], whenDown: "direct" }),
      outbound("by-mx", { spaces: ["*"], cost: 5 }),
      outbound("partner", {}),
    ];
    failed("provider", "smtp.provider.example [192.0.2.8]:587", 1);
    failed("provider", "192.0.2.9", 2);
    for (let at = 3; at < 100; at += 1)
      failed("provider", `mx${at}.elsewhere.example [192.0.2.1]`, at);
    failed("by-mx", "gone.example", 200);
    failed("partner", "mx.partner.example [192.0.2.2]", 201);
    const facts = connectorFacts({ outbound: outbounds, inbound: [], health }, nowMs);
    const remotes = facts.map((one) => "health" in one && one.health.map(({ remote }) => remote));
    assert.deepEqual(remotes, [
      ["192.0.2.9", "smtp.provider.example [192.0.2.8]:587"],
      [],
      ["mx.partner.example [192.0.2.2]"],
    ]);
  });

  test("CAP-42 leaves the built-in connector out where another takes all", () => {
    const all = outbound("all", { spaces: ["*"] });
    const facts = connectorFacts(
      { outbound: [all], inbound: [], health: connectorHealth() },
      nowMs,
    );
    assert.deepEqual(
      facts.map(({ name }) => name),
      ["all"],
    );
  });
});

describe("connectorHealth()", () => {
  const attempt = (remote: string, atMs: number, some: Partial<Attempt> = {}): Attempt => ({
    ...{ remote, atMs, durationMs: 1, outcome: "delivered" },
    reply: { code: 250, text: "ok" },
    ...some,
  });

  test("remembers the last success and failure of each host, and no more than 256 hosts", () => {
    const health = connectorHealth();
    health.attempted("a", attempt("one", 1));
    const reply = { code: 451, status: "4.4.3", text: ["try", "later"] };
    health.attempted("a", attempt("one", 2, { outcome: "deferred", reply }));
    health.attempted("a", attempt("two", 3, { outcome: "failed" }));
    assert.deepEqual(health.of("a"), [
      { remote: "two", succeededAtMs: 3 },
      { remote: "one", succeededAtMs: 1, failedAtMs: 2, failure: "451 4.4.3 try later" },
    ]);
    for (let count = 0; count < 1_000; count += 1)
      health.attempted("b", attempt(`h${count}`, count));
    assert.equal(health.of("b").length, 256);
    assert.equal(health.of("b")[0]?.remote, "h999");
    assert.deepEqual(health.of("nobody"), []);
  });
});

describe("watchSecrets()", () => {
  test("CAP-45 reports an old secret once a day, and measures its age", async () => {
    const clock = fakeClock(nowMs);
    const records: string[] = [];
    const log = {
      write: (level: string, event: string, fields: Record<string, unknown>) =>
        records.push(`${level} ${event} ${fields["connector"]} ${fields["ageDays"] ?? ""}`),
    } as unknown as Log;
    const registry = new Registry();
    const files = [secretFile("expired", 400), secretFile("fresh", 3)];
    const settings = { outbound: [provider(files)], inbound: [partner([join(folder, "none")])] };
    const watch = watchSecrets({ settings, clock, log, registry });
    await clock.advance(1);
    const first = [
      "warn connector.secret-expired provider 400",
      "error connector.secret-missing partner ",
    ];
    assert.deepEqual(records, first);
    const ages = registry.samples().map(({ labels, value }) => [labels["secret"], value / 86_400]);
    assert.deepEqual(ages, [
      ["1", 400],
      ["2", 3],
      ["1", 0],
    ]);
    await clock.advance(dayMs - 3_600_000);
    assert.equal(records.length, 2);
    await clock.advance(3_600_000);
    assert.equal(records[2], "warn connector.secret-expired provider 401");
    assert.equal(records.length, 4);
    watch[Symbol.dispose]();
    await clock.advance(3 * dayMs);
    assert.equal(records.length, 4);
  });
});

describe("probe()", () => {
  const certificate = selfSigned("mx.partner.example");
  const sinks: SmtpSink[] = [];
  after(() => Promise.all(sinks.map((sink) => sink.close())));

  async function host(options: SinkOptions): Promise<number> {
    const sink = new SmtpSink(options);
    sinks.push(sink);
    return sink.listen();
  }

  function ports(outboundNow: readonly OutboundConnector[], port: number): ProbePorts {
    return {
      outbound: outboundNow,
      hostsFor: async () => ({
        ok: true,
        hosts: [
          {
            name: "mx.partner.example",
            port,
            viaMx: false,
            mxAuthenticated: false,
            addressAuthenticated: false,
            addresses: ["127.0.0.9", "127.0.0.1"],
          },
        ],
      }),
      policies: {
        demandFor: async (hop) => ({
          ok: true,
          demand: connectorDemand(hop.connector, hop.host),
          policy: "connector",
        }),
      },
      async dial(to) {
        if (to.host === "127.0.0.9") throw new Unavailable("nobody there");
        return connect(to.port, to.host);
      },
      heloName: "us.example",
      timeouts: timeoutsOf(defaultsOf(smtpClientParameters)),
      clock: systemClock,
    };
  }

  const connector = (some: Partial<OutboundValues> = {}): OutboundConnector => {
    const read = outbound("a", { tls: "required", ...some });
    return { ...read, tls: { ...read.tls, authorities: [certificate.cert] } };
  };

  test("CAP-42 says by which connector a domain goes, and what its host answered", async () => {
    const port = await host({ tls: certificate });
    const a = connector();
    const dear = outbound("dear", { cost: 5 });
    const result = await probe(ports([dear, a], port), a, "partner.example");
    assert.deepEqual(result.ranked, [
      { connector: "a", space: "partner.example", cost: 0 },
      { connector: "dear", space: "partner.example", cost: 5 },
      { connector: "default", space: "*", cost: 0 },
    ]);
    const [tried] = result.hosts;
    assert.equal(tried?.ok, true);
    assert.equal(tried?.tls?.version, "TLSv1.3");
  });

  test("CAP-41 says that a host without TLS is not enough, and what a wrong name was", async () => {
    const bare = await probe(ports([], await host({})), connector(), "partner.example");
    assert.equal(bare.hosts[0]?.ok, false);
    assert.equal(bare.hosts[0]?.phase, "tls");
    const wrong = await host({ tls: selfSigned("other.example") });
    const other = await probe(ports([], wrong), connector(), "partner.example");
    assert.equal(other.hosts[0]?.phase, "tls");
    assert.equal(other.hosts[0]?.ok, false);
  });

  test("CAP-45 a secret that is missing hides no fault that comes before the login", async () => {
    const login = connector({
      hosts: ["h"],
      auth: "scram",
      user: "us",
      secretFiles: [join(folder, "absent")],
    });
    const tried = async (port: number): Promise<readonly unknown[]> => {
      const { hosts } = await probe(ports([], port), login, "partner.example");
      return [hosts[0]?.ok, hosts[0]?.phase, hosts[0]?.reply];
    };
    const sound = await host({ tls: certificate });
    assert.deepEqual(await tried(sound), [
      false,
      "login",
      `${join(folder, "absent")}: no secret there`,
    ]);
    const wrong = await host({ tls: selfSigned("other.example") });
    assert.deepEqual((await tried(wrong)).slice(0, 2), [false, "tls"]);
  });

  test("says why no host was found, and that nobody answers", async () => {
    const nowhere: ProbePorts = {
      ...ports([], 1),
      hostsFor: async () => ({ ok: false, reply: { code: 451, status: "4.4.3", text: "no DNS" } }),
    };
    const result = await probe(nowhere, defaultOutbound, "partner.example");
    assert.equal(result.fault, "451 4.4.3 no DNS");
    const silent: ProbePorts = {
      ...ports([], 1),
      dial: async () => {
        throw new Unavailable("connection refused");
      },
    };
    const tried = await probe(silent, defaultOutbound, "partner.example");
    assert.deepEqual(tried.hosts, [
      {
        host: "mx.partner.example",
        port: 1,
        ok: false,
        phase: "connect",
        reply: "connection refused",
      },
    ]);
  });
});
