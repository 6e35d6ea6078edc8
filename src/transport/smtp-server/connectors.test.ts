/** Inbound connectors: who a client is, what it has to bring, and for whom it may send. */

import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import { type ConnectionOptions, createSecureContext } from "node:tls";
import type { LogFields } from "#base/log";
import type { InboundConnector } from "#model/connector";
import { matchInbound } from "#transport/connectors";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { Talk } from "../../../tests/kit/talk.ts";
import { type ConnectorPorts, connectorRules } from "./connectors.ts";
import { type TestServer, testServer } from "./testing.ts";
import type { SaslPort } from "./types.ts";

const served = selfSigned("mx.known.example");
const [alpha, other] = [selfSigned("mail.alpha.example"), selfSigned("other.example")];

function fingerprints({ cert }: { readonly cert: string }): { whole: string; key: string } {
  const { raw, publicKey } = new X509Certificate(cert);
  const sha256 = (octets: Buffer): string => createHash("sha256").update(octets).digest("hex");
  return { whole: sha256(raw), key: sha256(publicKey.export({ type: "spki", format: "der" })) };
}

function connector(name: string, more: Partial<InboundConnector>): InboundConnector {
  return {
    ...{ name, door: "edge", networks: [], certificates: [], senderDomains: [] },
    ...{ requireTls: false, minVersion: "TLSv1.2", trusted: false, mayRelay: false },
    ...more,
  };
}

interface Logged {
  readonly event: string;
  readonly fields: LogFields;
}

interface Stage extends TestServer {
  readonly logged: Logged[];
}

/** Lets everybody in whose password is "word". */
const sasl = (mechanisms: SaslPort["mechanisms"]): SaslPort => ({
  mechanisms,
  begin: () => ({
    next: (response) => {
      const [, user = "", word] = response.toString().split("\0");
      return word === "word" ? { ok: true, address: user } : { ok: false, reason: "refused" };
    },
  }),
});

async function stage(...connectors: readonly InboundConnector[]): Promise<Stage> {
  const logged: Logged[] = [];
  const context: ConnectorPorts["context"] = (floor) =>
    createSecureContext({
      ...served,
      sessionIdContext: "test",
      minVersion: floor?.minVersion ?? "TLSv1.2",
      ecdhCurve: floor?.groups?.join(":") ?? "X25519MLKEM768:P-256:X25519",
    });
  const all = connectors;
  const rules = connectorRules({
    ...{ door: "edge", connectors: () => all, match: matchInbound, context },
  });
  const server = await testServer({
    peers: rules,
    sasl: sasl(rules.mechanisms),
    proxyTrusted: ["127.0.0.0/8"],
    ...(rules.tls && { tls: rules.tls }),
    log: { write: (_level, event, fields = {}) => void logged.push({ event, fields }) },
    handler: {
      mail: (session, { reversePath }) => rules.refuseSender(session.connection, reversePath),
    },
  });
  return { ...server, logged, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

async function from(address: string, { at }: TestServer): Promise<Talk> {
  const client = await Talk.open(at);
  client.send(`PROXY TCP4 ${address} 127.0.0.1 40000 25\r\n`);
  assert.match(await client.reply(), /^220 /);
  await client.ask("EHLO c.example");
  return client;
}

async function inTls(
  address: string,
  server: TestServer,
  options: ConnectionOptions = {},
): Promise<Talk> {
  const client = await from(address, server);
  assert.match(await client.ask("STARTTLS"), /^220 /);
  await client.secure(options);
  await client.ask("EHLO c.example");
  return client;
}

const login = (user: string): string =>
  `AUTH PLAIN ${Buffer.from(`\0${user}\0word`).toString("base64")}`;

/** Replies to MAIL, and by which connector the message came. */
async function sends(client: Talk, server: TestServer, reversePath: string): Promise<string> {
  const reply = await client.ask(`MAIL FROM:<${reversePath}>`);
  if (!reply.startsWith("250")) return reply.slice(0, 9);
  await client.ask("RCPT TO:<x@known.example>");
  await client.ask("DATA");
  await client.ask("x\r\n.");
  const { connector, authenticated, tls } = server.delivered.at(-1)?.transaction.connection ?? {};
  return [connector ?? "nobody", authenticated, tls?.proof].filter(Boolean).join(" ");
}

describe("CAP-41 TLS that a connector requires", () => {
  const strict = connector("strict", { networks: ["192.0.2.0/24"], requireTls: true });

  test("CAP-41 in clear all but NOOP, EHLO, STARTTLS and QUIT gets 530 (RFC 3207 §4)", async () => {
    await using server = await stage(strict);
    using client = await from("192.0.2.7", server);
    for (const command of [
      ...["HELO c.example", "MAIL FROM:<a@c.example>", "RCPT TO:<x@known.example>", "DATA"],
      ...["RSET", "VRFY x", "HELP", "EXPN x", "AUTH PLAIN"],
    ]) {
      assert.equal(
        await client.ask(command),
        "530 5.7.0 Must issue a STARTTLS command first",
        command,
      );
    }
    assert.match(await client.ask("NOOP"), /^250 /);
    assert.match(await client.ask("EHLO c.example"), /^250[ -]STARTTLS$/m);
    assert.match(await client.ask("QUIT"), /^221 /);
    using chunks = await from("192.0.2.7", server);
    chunks.send("BDAT 6 LAST\r\nNOOP\r\n");
    assert.match(await chunks.rest(), /^530 5\.7\.0 [^\n]*\n$/);
  });

  test("CAP-41 inside TLS it takes mail, and says by which connector", async () => {
    await using server = await stage(strict);
    using client = await inTls("192.0.2.7", server);
    assert.equal(await sends(client, server, "a@c.example"), "strict");
  });

  test("CAP-42 nobody else notices", async () => {
    await using server = await stage(strict, connector("login", { user: "acme" }));
    using client = await from("198.51.100.7", server);
    assert.equal(await sends(client, server, "a@c.example"), "nobody");
  });

  test("CAP-40 a handshake below its minimum fails, and the log names connector and version", async () => {
    await using server = await stage({ ...strict, minVersion: "TLSv1.3" });
    await assert.rejects(inTls("192.0.2.7", server, { maxVersion: "TLSv1.2" }));
    const { fields } = server.logged.find(
      ({ event }) => event === "smtp-server.handshake-failed",
    ) ?? { fields: {} };
    assert.deepEqual(fields, {
      ...{ listener: "smtp", code: "ERR_SSL_UNSUPPORTED_PROTOCOL", from: "192.0.2.7" },
      ...{ connector: "strict", minVersion: "TLSv1.3" },
    });
    using stranger = await inTls("198.51.100.7", server, { maxVersion: "TLSv1.2" });
    assert.equal(await sends(stranger, server, "a@c.example"), "nobody");
    using good = await inTls("192.0.2.7", server);
    assert.equal(await sends(good, server, "a@c.example"), "strict");
  });

  test("CAP-40 groups of its own", async () => {
    await using server = await stage({ ...strict, groups: ["X25519MLKEM768"] });
    await assert.rejects(inTls("192.0.2.7", server, { ecdhCurve: "P-256" }));
    assert.match(String(server.logged.at(-1)?.fields["code"]), /^ERR_SSL_NO_SUITABLE_/);
    using good = await inTls("192.0.2.7", server);
    assert.equal(await sends(good, server, "a@c.example"), "strict");
    using stranger = await inTls("198.51.100.7", server, { ecdhCurve: "P-256" });
    assert.equal(await sends(stranger, server, "a@c.example"), "nobody");
  });

  test("CAP-40 who is known by certificate alone is held to both after the handshake", async () => {
    const certificates = [fingerprints(alpha).whole];
    await using server = await stage(
      connector("alpha", { certificates, minVersion: "TLSv1.3", groups: ["P-256"] }),
    );
    using old = await inTls("192.0.2.7", server, { ...alpha, maxVersion: "TLSv1.2" });
    assert.equal(await sends(old, server, "a@c.example"), "550 5.7.0");
    using group = await inTls("192.0.2.7", server, { ...alpha, ecdhCurve: "X25519" });
    assert.equal(await sends(group, server, "a@c.example"), "550 5.7.0");
    using good = await inTls("192.0.2.7", server, { ...alpha, ecdhCurve: "prime256v1" });
    assert.equal(await sends(good, server, "a@c.example"), "alpha pin");
  });
});

describe("CAP-43 mutual TLS with pinned keys", () => {
  for (const pinned of ["whole", "key"] as const) {
    test(`CAP-43 a network that has to show a certificate, pinned by its ${pinned}`, async () => {
      const certificates = [fingerprints(alpha)[pinned]];
      await using server = await stage(
        connector("own", { networks: ["192.0.2.0/24"], certificates, requireTls: true }),
      );
      using anonymous = await inTls("192.0.2.7", server);
      assert.equal(await sends(anonymous, server, "a@c.example"), "550 5.7.1");
      assert.equal(await sends(anonymous, server, ""), "550 5.7.1");
      using wrong = await inTls("192.0.2.7", server, other);
      assert.equal(await sends(wrong, server, "a@c.example"), "550 5.7.1");
      using clear = await from("192.0.2.7", server);
      assert.equal(await sends(clear, server, "a@c.example"), "530 5.7.0");
      using right = await inTls("192.0.2.7", server, alpha);
      assert.equal(await sends(right, server, "a@c.example"), "own pin");
      using stranger = await inTls("198.51.100.7", server, alpha);
      assert.equal(await sends(stranger, server, "a@c.example"), "nobody");
    });
  }

  test("CAP-43 the narrowest network decides, and another connector's network is no way around", async () => {
    const certificates = [fingerprints(alpha).key];
    await using server = await stage(
      connector("office", { networks: ["192.0.0.0/16"], trusted: true }),
      connector("node", { networks: ["192.0.2.7/32"], certificates }),
    );
    using node = await inTls("192.0.2.7", server);
    assert.equal(await sends(node, server, "a@c.example"), "550 5.7.1");
    using right = await inTls("192.0.2.7", server, alpha);
    assert.equal(await sends(right, server, "a@c.example"), "node pin");
    using office = await from("192.0.2.8", server);
    assert.equal(await sends(office, server, "a@c.example"), "office");
  });
});

describe("CAP-44 a partner's login, bound to its domains", () => {
  const acme = connector("acme", { user: "acme", senderDomains: ["acme.example", "acme.test"] });

  test("CAP-44 AUTH is offered where a login may come from, inside TLS alone", async () => {
    await using server = await stage({ ...acme, networks: ["192.0.2.0/24"] });
    using clear = await from("192.0.2.7", server);
    assert.doesNotMatch(await clear.ask("EHLO c.example"), /AUTH/);
    using partner = await inTls("192.0.2.7", server);
    assert.match(
      await partner.ask("EHLO c.example"),
      /^250[ -]AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN$/m,
    );
    using old = await inTls("192.0.2.7", server, { maxVersion: "TLSv1.2" });
    assert.match(await old.ask("EHLO c.example"), /^250[ -]AUTH SCRAM-SHA-256 PLAIN$/m);
    using stranger = await inTls("198.51.100.7", server);
    assert.doesNotMatch(await stranger.ask("EHLO c.example"), /AUTH/);
    assert.match(await stranger.ask(login("acme")), /^503 /);
  });

  test("CAP-44 its domains come by it or not at all, and no others by it", async () => {
    await using server = await stage(acme);
    using partner = await inTls("192.0.2.7", server);
    assert.equal(await sends(partner, server, "a@acme.example"), "550 5.7.1");
    assert.match(await partner.ask(login("acme")), /^235 /);
    assert.equal(await sends(partner, server, "a@acme.example"), "acme acme");
    assert.equal(await sends(partner, server, "a@acme.test"), "acme acme");
    assert.equal(await sends(partner, server, "a@sub.acme.example"), "550 5.7.1");
    assert.equal(await sends(partner, server, "a@other.example"), "550 5.7.1");
    assert.equal(await sends(partner, server, ""), "acme acme");
    using stranger = await from("198.51.100.7", server);
    for (const forged of ["a@acme.example", "a@ACME.Example", '"a@x"@acme.example']) {
      assert.equal(await sends(stranger, server, forged), "550 5.7.1", forged);
    }
    assert.equal(await sends(stranger, server, ""), "nobody");
    assert.equal(await sends(stranger, server, "a@sub.acme.example"), "nobody");
  });

  test("CAP-44 a partner's network demands its login", async () => {
    await using server = await stage({ ...acme, networks: ["192.0.2.0/24"] });
    using partner = await inTls("192.0.2.7", server);
    assert.equal(await sends(partner, server, "a@acme.example"), "530 5.7.0");
    assert.match(await partner.ask(login("acme")), /^235 /);
    assert.equal(await sends(partner, server, "a@acme.example"), "acme acme");
  });

  test("a pin of one connector proves nothing for the one whose login follows", async () => {
    await using server = await stage(
      connector("alpha", { certificates: [fingerprints(alpha).key] }),
      connector("beta", { user: "beta", senderDomains: ["beta.example"] }),
    );
    using client = await inTls("198.51.100.7", server, alpha);
    assert.equal(await sends(client, server, "a@c.example"), "alpha pin");
    assert.match(await client.ask(login("beta")), /^235 /);
    assert.equal(await sends(client, server, "a@beta.example"), "beta beta");
  });

  test("a right password from the wrong place, or without the certificate, is a wrong one", async () => {
    await using server = await stage(
      { ...acme, networks: ["192.0.2.0/24"] },
      connector("beta", { user: "beta", senderDomains: ["beta.example"] }),
      connector("both", {
        ...{ user: "both", senderDomains: ["both.example"] },
        certificates: [fingerprints(alpha).key],
      }),
    );
    using client = await inTls("198.51.100.7", server);
    assert.match(await client.ask(login("acme")), /^535 5\.7\.8 /);
    assert.equal(await sends(client, server, "a@acme.example"), "550 5.7.1");
    assert.match(await client.ask(login("both")), /^535 5\.7\.8 /);
    assert.match(await client.ask(login("beta")), /^235 /);
    assert.equal(await sends(client, server, "a@beta.example"), "beta beta");
    using certified = await inTls("198.51.100.7", server, alpha);
    assert.match(await certified.ask(login("both")), /^235 /);
    assert.equal(await sends(certified, server, "a@both.example"), "both both pin");
  });
});
