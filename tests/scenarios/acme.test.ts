/** Certificates from a real ACME server, which proves the names at our web edge over TLS. */

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { connect, createServer } from "node:tls";
import * as acme from "acme-client";
import { type Clock, systemClock } from "#base/clock";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { systemNet } from "#base/net";
import { systemRandom } from "#base/random";
import { linkPair } from "#contracts/link";
import { type Certify, createCertify } from "#edge/certify";
import { createAuthority, issueCertificate } from "#keys/authority";
import { egress } from "../../src/edge/smtp/egress.ts";
import {
  type Attempt,
  type CertificateSettings,
  type Certificates,
  startCertificates,
} from "../../src/hub/certificates/index.ts";
import { dialThroughEdge } from "../../src/hub/egress.ts";
import { freePorts, startInstallation } from "../kit/installation.ts";
import { hasPebble, type Pebble, type PebbleOptions, startPebble } from "../kit/pebble.ts";

const web = ["mail.example.test", "www.example.test"];
const mail = ["mx.example.test"];
const inside = ["imap.example.test"];
const dayMs = 86_400_000;

interface Stage extends AsyncDisposable {
  readonly certificates: Certificates;
  readonly clock: JumpClock;
  readonly folder: string;
  readonly doors: Readonly<Record<"edge-web" | "edge-smtp" | "hub", Certify>>;
  readonly dialled: readonly string[];
  readonly webPort: number;
}

type Change = Partial<CertificateSettings["acme"]> & { readonly names?: readonly string[] };

/** The web edge on a port, the tunnel of the mail edge, and the hub between them. */
async function stage(
  server: { directory: string; caFile: string },
  webPort: number,
  change: Change = {},
): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), "postern-acme-"));
  const clock = jumpClock();
  const own = { random: systemRandom, clock, log: silentLog };
  const site = createAuthority({
    name: "Postern site authority",
    validDays: 100,
    nowMs: Date.now(),
  });
  writeFileSync(join(folder, "ca.pem"), site.certificatePem);
  const door = (name: string): Certify => {
    mkdirSync(join(folder, name));
    const made = issueCertificate(site, {
      commonName: "first.test",
      dnsNames: ["first.test"],
      ipAddresses: [],
      usage: "server",
      validDays: 100,
      nowMs: Date.now(),
    });
    const [certFile, keyFile] = [join(folder, name, "tls.pem"), join(folder, name, "tls.key")];
    writeFileSync(certFile, made.certificatePem);
    writeFileSync(keyFile, made.keyPem);
    return createCertify({ certFile, keyFile, ...own });
  };
  const doors = { "edge-web": door("web"), "edge-smtp": door("smtp"), hub: door("hub") };
  const dialled: string[] = [];
  const [smtpEdge, toSmtp] = linkPair();
  const [webEdge, toWeb] = linkPair();
  const port = Number(new URL(server.directory).port);
  const dial = egress({
    net: systemNet,
    events: { dialled: (outcome: string) => void dialled.push(outcome) } as never,
    ports: [port],
    mayDialPrivate: true,
    connections: 10,
    lookup: async () => ["127.0.0.1"],
  });
  smtpEdge.onStream((stream) =>
    stream.kind === "dial" ? dial(stream) : doors["edge-smtp"].handle(stream),
  );
  webEdge.onStream((stream) => doors["edge-web"].handle(stream));
  const front = await webDoor(doors["edge-web"], webPort);
  const certificates = startCertificates({
    settings: {
      authority: join(folder, "ca.pem"),
      areNamesGiven: false,
      places: {
        "edge-web": { names: change.names ?? web, outside: true },
        "edge-smtp": { names: mail, outside: true },
        hub: { names: inside, outside: false },
      },
      acme: {
        agreeTerms: true,
        contact: ["mailto:admin@example.test"],
        direct: false,
        eabKeyId: "",
        eabKeyFile: "",
        ...server,
        ...change,
      },
    },
    folder: join(folder, "hub"),
    own: doors.hub,
    links: { "edge-web": () => toWeb, "edge-smtp": () => toSmtp },
    dial: (to) => dialThroughEdge(toSmtp, to, 5000, clock),
    clock,
    random: systemRandom,
    log: silentLog,
    registry: new Registry(),
    pollMs: 100,
  });
  return {
    certificates,
    clock,
    folder,
    doors,
    dialled,
    webPort,
    async [Symbol.asyncDispose]() {
      certificates[Symbol.dispose]();
      toSmtp.close("done");
      toWeb.close("done");
      front.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function webDoor(certify: Certify, port: number) {
  const server = createServer(
    { ...certify.secureContext(), ALPNProtocols: ["http/1.1"] },
    (socket) => {
      socket.on("error", () => {});
      socket.pipe(socket);
    },
  );
  server.on("tlsClientError", () => {});
  certify.onChange(() => server.setSecureContext(certify.secureContext()));
  const front = createTcpServer((socket) =>
    certify.divert(socket, (plain) => void server.emit("connection", plain)),
  );
  front.listen(port, "127.0.0.1");
  await once(front, "listening");
  return front;
}

async function staged(change: Change = {}, options: Partial<PebbleOptions> = {}) {
  const [webPort = 0] = await freePorts(1);
  const pebble = await startPebble({
    names: [...web, ...mail, ...inside],
    tlsPort: webPort,
    ...options,
  });
  const set = await stage(pebble, webPort, change);
  return {
    pebble,
    set,
    async [Symbol.asyncDispose]() {
      await set[Symbol.asyncDispose]();
      await pebble[Symbol.asyncDispose]();
    },
  };
}

const leafOf = (certify: Certify): X509Certificate =>
  new X509Certificate(certify.secureContext().cert);
const outcomes = (attempts: readonly Attempt[]): string =>
  attempts.map(({ outcome }) => outcome).join(" ");
const whyOf = (attempts: readonly Attempt[], at = 0): string => attempts[at]?.why ?? "";

describe("ACME", { skip: hasPebble ? false : "pebble is not installed" }, () => {
  test("CAP-35 every place gets a certificate for its own key and names, through the tunnel", async () => {
    await using all = await staged();
    const { certificates, doors, dialled, folder } = all.set;
    assert.equal(outcomes(await certificates.order({})), "installed installed installed");
    const root = new X509Certificate(await all.pebble.root());
    for (const [place, names] of [
      ["edge-web", web],
      ["edge-smtp", mail],
      ["hub", inside],
    ] as const) {
      const { cert, key } = doors[place].secureContext();
      const leaf = new X509Certificate(cert);
      assert.equal(leaf.subjectAltName, names.map((name) => `DNS:${name}`).join(", "));
      assert.match(leaf.issuer, /Pebble/);
      const intermediate = new X509Certificate(
        cert.slice(cert.indexOf("-----END CERTIFICATE-----") + 26),
      );
      assert.ok(leaf.verify(intermediate.publicKey) && intermediate.verify(root.publicKey));
      assert.equal(key.includes("PRIVATE KEY"), true);
    }
    const keys = new Set(Object.values(doors).map((one) => one.secureContext().key));
    assert.equal(keys.size, 3);
    assert.ok(
      dialled.length > 10 && dialled.every((outcome) => outcome === "open"),
      String(dialled.length),
    );
    assert.equal(statSync(join(folder, "hub/acme-account.key")).mode & 0o777, 0o600);
    assert.equal(outcomes(await certificates.order({})), "not-due not-due not-due");
    const state = await certificates.show();
    assert.deepEqual(
      state.places.map(({ findings }) => findings.map(({ code }) => code)),
      [["unknown-authority"], ["unknown-authority"], ["unknown-authority"]],
    );
  });

  test("W19 renews by itself at two thirds of the lifetime, and no connection drops", async () => {
    await using all = await staged({}, { lifeSeconds: 90 * 24 * 3600 });
    const { certificates, clock, doors, webPort } = all.set;
    await certificates.order({});
    const first = leafOf(doors["edge-web"]);
    const open = connect({
      host: "127.0.0.1",
      port: webPort,
      servername: web[0] ?? "",
      rejectUnauthorized: false,
    });
    await once(open, "secureConnect");
    clock.jump(59 * dayMs);
    await shortly();
    assert.equal(leafOf(doors["edge-web"]).serialNumber, first.serialNumber);
    clock.jump(2 * dayMs);
    await until(() => leafOf(doors["edge-web"]).serialNumber !== first.serialNumber);
    open.write("still here");
    assert.equal(String((await once(open, "data"))[0]), "still here");
    const next = connect({
      host: "127.0.0.1",
      port: webPort,
      servername: web[0] ?? "",
      rejectUnauthorized: false,
    });
    await once(next, "secureConnect");
    assert.equal(
      next.getPeerX509Certificate()?.serialNumber,
      leafOf(doors["edge-web"]).serialNumber,
    );
    open.destroy();
    next.destroy();
  });

  test("a third of all good nonces are refused, and it goes through (RFC 8555 §6.5)", async () => {
    await using all = await staged({}, { nonceReject: 30 });
    const { certificates } = all.set;
    for (let tries = 0; tries < 4; tries += 1) {
      const attempts = await certificates.order({});
      if (attempts.every(({ outcome }) => outcome !== "failed")) return;
    }
    assert.fail("did not go through");
  });

  test("a name that leads elsewhere is a finding, and the other places get theirs", async () => {
    await using all = await staged({ names: [...web, "elsewhere.example.test"] });
    const { certificates, clock, doors, dialled } = all.set;
    const before = doors["edge-web"].secureContext();
    const attempts = await certificates.order({});
    assert.equal(outcomes(attempts), "failed installed installed");
    assert.match(whyOf(attempts), /elsewhere\.example\.test must lead to the web edge/);
    assert.deepEqual(doors["edge-web"].secureContext(), before);
    assert.equal(doors["edge-web"].challengeFor("elsewhere.example.test"), undefined);
    const [place] = (await certificates.show()).places;
    assert.ok(
      place?.findings.some(({ code, text }) => code === "order-failed" && /elsewhere/.test(text)),
    );
    // Not again before the pause is over, whatever else is looked at; what was under way has ended.
    await shortly();
    const count = dialled.length;
    clock.jump(10 * 60_000);
    await shortly();
    assert.equal(dialled.length, count);
    clock.jump(60 * 60_000);
    await until(() => dialled.length > count);
    await certificates.order({});
  });

  test("the server is down: the old certificate is served, and the order comes through later", async () => {
    const [webPort = 0, port = 0] = await freePorts(2);
    const options = { names: [...web, ...mail, ...inside], tlsPort: webPort, port };
    const first: Pebble = await startPebble(options);
    const caFile = join(mkdtempSync(join(tmpdir(), "postern-acme-ca-")), "ca.pem");
    writeFileSync(caFile, readFileSync(first.caFile));
    await using set = await stage({ directory: first.directory, caFile }, webPort);
    await first[Symbol.asyncDispose]();
    const attempts = await set.certificates.order({});
    assert.equal(outcomes(attempts), "failed failed failed");
    assert.match(whyOf(attempts), /ACME account: .*nobody listens at 127/);
    await using again = await startPebble(options);
    writeFileSync(caFile, readFileSync(again.caFile));
    set.clock.jump(70 * 60_000);
    await until(() => /Pebble/.test(leafOf(set.doors.hub).issuer));
    assert.match(leafOf(set.doors["edge-web"]).issuer, /Pebble/);
    rmSync(join(caFile, ".."), { recursive: true });
  });

  test("CAP-38 a server whose own certificate is not trusted is told nothing", async () => {
    await using all = await staged();
    const attempts = await all.set.certificates.order({});
    assert.equal(outcomes(attempts), "installed installed installed");
    await using wrong = await stage({ ...all.pebble, caFile: "" }, (await freePorts(1))[0] ?? 0);
    const refused = await wrong.certificates.order({});
    assert.equal(outcomes(refused), "failed failed failed");
    assert.match(whyOf(refused), /ACME account: .*(certificate|signed)/);
  });

  test("an account that was deactivated stays so until an administrator opens another", async () => {
    await using all = await staged();
    const { certificates, folder } = all.set;
    await certificates.order({});
    const accountKey = readFileSync(join(folder, "hub/acme-account.key"));
    const client = new acme.Client({ directoryUrl: all.pebble.directory, accountKey });
    await client.createAccount({ onlyReturnExisting: true });
    await client.updateAccount({ status: "deactivated" } as never);
    const attempts = await certificates.order({ all: true });
    assert.equal(outcomes(attempts), "failed failed failed");
    assert.match(whyOf(attempts), /deactivated/);
    assert.deepEqual(readFileSync(join(folder, "hub/acme-account.key")), accountKey);
    const mended = await certificates.order({ all: true, newAccount: true });
    assert.equal(outcomes(mended), "installed installed installed");
  });

  test("a certificate for a wrong key is refused where it would be served", async () => {
    await using all = await staged();
    const { certificates, doors } = all.set;
    const before = doors.hub.secureContext();
    const answer = doors.hub.answer.bind(doors.hub);
    doors.hub.answer = async (request) => {
      const asked = request as { do: string };
      if (asked.do === "install") await answer({ do: "request", names: inside });
      return answer(request);
    };
    const attempts = await certificates.order({});
    assert.equal(outcomes(attempts), "installed installed failed");
    assert.match(whyOf(attempts, 2), /hub: the certificate is for another key/);
    assert.deepEqual(doors.hub.secureContext(), before);
  });

  test("an account that needs an outside binding gets it (RFC 8555 §7.3.4)", async () => {
    const keyFile = join(mkdtempSync(join(tmpdir(), "postern-eab-")), "key");
    const key = Buffer.alloc(48, 7).toString("base64url");
    writeFileSync(keyFile, `${key}\n`);
    const externalAccounts = { "kid-1": key };
    {
      await using all = await staged({}, { externalAccounts });
      assert.equal(outcomes(await all.set.certificates.order({})), "failed failed failed");
    }
    await using all = await staged(
      { eabKeyId: "kid-1", eabKeyFile: keyFile },
      { externalAccounts },
    );
    assert.equal(outcomes(await all.set.certificates.order({})), "installed installed installed");
    rmSync(join(keyFile, ".."), { recursive: true });
  });

  test("asks nothing of anybody before the terms are agreed to; an inside server is dialled directly", async () => {
    {
      await using all = await staged({ agreeTerms: false });
      const attempts = await all.set.certificates.order({});
      assert.match(whyOf(attempts), /agreeTerms/);
      assert.deepEqual(all.set.dialled, []);
    }
    await using all = await staged({ direct: true });
    assert.equal(outcomes(await all.set.certificates.order({})), "installed installed installed");
    assert.deepEqual(all.set.dialled, []);
  });

  test("CAP-35 W19 a whole installation gets its certificates by configuration alone", async () => {
    const doors = ["https", "smtp", "submission", "imap", "console", "linkSmtp", "linkWeb"];
    const ports = await freePorts(doors.length);
    const names = ["mail.postern.test", "www.postern.test"];
    await using pebble = await startPebble({ names, tlsPort: ports[0] ?? 0 });
    const data = mkdtempSync(join(tmpdir(), "postern-acme-whole-"));
    const listen = doors.map((door, index) => `${door} = "127.0.0.1:${ports[index]}"`).join("\n");
    writeFileSync(
      join(data, "postern.toml"),
      `[listen]
${listen}
[web]
hosts = ["www.postern.test"]
[egress]
ports = ["25", "${pebble.port}"]
private = true
[acme]
directory = "https://127.0.0.1:${pebble.port}/dir"
agreeTerms = true
caFile = "${pebble.caFile}"
`,
    );
    {
      await using installation = await startInstallation({ data });
      const ordered = await installation.cli("pki", "acme", "--now", "--json");
      assert.equal(ordered.code, 0, ordered.stderr + ordered.stdout);
      // The first look by itself may have come before the order by hand.
      for (const { outcome, why } of JSON.parse(ordered.stdout) as Attempt[]) {
        assert.match(outcome, /^(?:installed|not-due)$/, why);
      }
      for (const [folder, wanted] of [
        ["edge/web", names],
        ["edge/smtp", names.slice(0, 1)],
        ["hub", names.slice(0, 1)],
      ] as const) {
        const leaf = new X509Certificate(readFileSync(join(data, folder, "tls.pem")));
        assert.match(leaf.issuer, /Pebble/);
        assert.equal(leaf.subjectAltName, wanted.map((name) => `DNS:${name}`).join(", "));
      }
      assert.equal((await installation.cli("pki", "request")).code, 64);
    }
    // What was installed is served again after a restart.
    await using again = await startInstallation({ data });
    const socket = connect({
      host: "127.0.0.1",
      port: ports[0] ?? 0,
      servername: names[0] ?? "",
      rejectUnauthorized: false,
    });
    await once(socket, "secureConnect");
    assert.match(socket.getPeerX509Certificate()?.issuer ?? "", /Pebble/);
    socket.destroy();
    await again.stop();
    rmSync(data, { recursive: true, force: true });
  });
});

/** Waiting in seconds is real; what is hours away comes when the test says so. */
interface JumpClock extends Clock {
  jump(byMs: number): void;
}

function jumpClock(): JumpClock {
  let aheadMs = 0;
  const waiting = new Set<{ readonly atMs: number; readonly run: () => void }>();
  const nowMs = (): number => Date.now() + aheadMs;
  return {
    ...systemClock,
    nowMs,
    after(delayMs, run) {
      if (delayMs <= 60_000) return systemClock.after(delayMs, run);
      const one = { atMs: nowMs() + delayMs, run };
      waiting.add(one);
      return { cancel: () => void waiting.delete(one) };
    },
    jump(byMs) {
      aheadMs += byMs;
      for (const one of [...waiting].filter(({ atMs }) => atMs <= nowMs())) {
        waiting.delete(one);
        one.run();
      }
    },
  };
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries += 1) {
    assert.ok(tries < 300, "did not come about");
    await shortly(50);
  }
}

const shortly = (ms = 500): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
