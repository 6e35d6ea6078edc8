import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer as createPlainServer } from "node:net";
import { describe, test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import { type Clock, systemClock } from "#base/clock";
import { Denied, Unavailable } from "#base/errors";
import type { Endpoint } from "#base/net";
import { seededRandom } from "#base/random";
import { fingerprintOf, type LinkIdentity, makeLinkIdentity } from "../link-identity.ts";
import { enrolEdge } from "./enrol.ts";
import { inviteEdge, makeToken, maxWrongProofs, type OfferedCertificates } from "./invite.ts";
import type { Enrolment } from "./records.ts";
import { enrolProtocol } from "./talk.ts";
import { type EnrolmentToken, formatToken, parseToken } from "./token.ts";

const hub = makeLinkIdentity("hub", Date.now());

/** Waits between two dials are short; the rest is the system's clock. */
const brisk: Clock = {
  ...systemClock,
  after: (delayMs, run) => systemClock.after(delayMs === 1000 ? 20 : delayMs, run),
};

const enrolment: Enrolment = {
  ...{ name: "dmz1", domain: "us.test", hostname: "mail.us.test" },
  hubCertificatePem: hub.certificatePem,
  policyPublicKey: "public",
};

async function freeEndpoint(): Promise<Endpoint> {
  const server = createPlainServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return { host: "127.0.0.1", port };
}

function tokenFor(seconds: number): EnrolmentToken {
  return makeToken(hub.certificatePem, Date.now() + seconds * 1000);
}

interface Edge {
  readonly smtp: LinkIdentity;
  readonly web: LinkIdentity;
  readonly done: Promise<Enrolment>;
  readonly kept: Enrolment[];
  readonly news: string[];
}

function edgeAt(listen: Endpoint, token: EnrolmentToken): Edge {
  const smtp = makeLinkIdentity("edge-smtp", Date.now());
  const web = makeLinkIdentity("edge-web", Date.now());
  const kept: Enrolment[] = [];
  const news: string[] = [];
  const deps = { clock: brisk, onNews: (what: string) => void news.push(what) };
  const done = enrolEdge({ token, listen, smtp, web }, deps, (one) => void kept.push(one));
  done.catch(() => {});
  return { smtp, web, done, kept, news };
}

interface Inside {
  readonly done: Promise<void>;
  readonly kept: OfferedCertificates[];
}

function insideTo(at: Endpoint, token: EnrolmentToken): Inside {
  const kept: OfferedCertificates[] = [];
  const invitation = { token, at, enrolment, hubKeyPem: hub.keyPem };
  const deps = { clock: brisk, onTrouble: () => {} };
  const done = inviteEdge(invitation, deps, (offered) => void kept.push(offered));
  done.catch(() => {});
  return { done, kept };
}

/** Somebody at the edge's address, with a certificate of their own choice. */
async function impostor(
  at: Endpoint,
  identity: LinkIdentity,
  says: (socket: TLSSocket) => void,
): Promise<{ readonly heard: () => number } & AsyncDisposable> {
  let heard = 0;
  const server = createServer({
    ...{ cert: identity.certificatePem, key: identity.keyPem, requestCert: true },
    ...{ rejectUnauthorized: false, ALPNProtocols: [enrolProtocol] },
  });
  server.on("secureConnection", (socket) => {
    socket.on("error", () => {}).on("data", (chunk: Buffer) => void (heard += chunk.length));
    says(socket);
  });
  server.listen(at.port, at.host);
  await once(server, "listening");
  return {
    heard: () => heard,
    [Symbol.asyncDispose]: () => new Promise((done) => void server.close(() => done())),
  };
}

/** What the edge says first to the holder of the inside's certificate. */
async function offerOf(at: Endpoint): Promise<string> {
  const own = { cert: hub.certificatePem, key: hub.keyPem, rejectUnauthorized: false };
  const socket = connect({ ...at, ...own, ALPNProtocols: [enrolProtocol] });
  const [offer] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return offer.toString();
}

describe("an enrolment", () => {
  test("CAP-43 gives each end the other's certificates, and no key leaves its machine", async () => {
    const at = await freeEndpoint();
    const token = tokenFor(20);
    const inside = insideTo(at, token); // dials before anybody is there, again and again
    const edge = edgeAt(at, token);
    assert.deepEqual(await edge.done, enrolment);
    await inside.done;
    assert.deepEqual(inside.kept, [
      { smtp: edge.smtp.certificatePem, web: edge.web.certificatePem },
    ]);
    assert.ok(!JSON.stringify(inside.kept).includes("PRIVATE"));
    assert.ok(!JSON.stringify(edge.kept).includes("PRIVATE"));
    assert.notEqual(
      fingerprintOf(edge.smtp.certificatePem),
      fingerprintOf(edge.web.certificatePem),
    );
  });

  test("with a wrong token ends on both sides after five tries, and nothing is kept", async () => {
    const at = await freeEndpoint();
    const edge = edgeAt(at, tokenFor(20));
    const inside = insideTo(at, tokenFor(20));
    await assert.rejects(inside.done, Denied);
    await assert.rejects(edge.done, Denied);
    assert.deepEqual([edge.kept, inside.kept], [[], []]);
  });

  test("a token that was used opens nothing again", async () => {
    const at = await freeEndpoint();
    const token = tokenFor(20);
    const [first, inside] = [edgeAt(at, token), insideTo(at, token)];
    await Promise.all([first.done, inside.done]);
    // The inside dials for another edge now; whoever kept the old token answers.
    const thief = edgeAt(at, token);
    const next = insideTo(at, tokenFor(20));
    await assert.rejects(next.done, Denied);
    assert.deepEqual([thief.kept, next.kept], [[], []]);
    await assert.rejects(thief.done, Denied);
  });

  test("past its time is refused by the edge at once, and given up by the inside", async () => {
    const at = await freeEndpoint();
    await assert.rejects(edgeAt(at, tokenFor(-1)).done, Unavailable);
    await assert.rejects(insideTo(at, tokenFor(0.1)).done, Unavailable);
    const waiting = edgeAt(at, tokenFor(0.2));
    await assert.rejects(waiting.done, /did not come/);
  });
});

describe("somebody else at the edge's address", () => {
  const stranger = makeLinkIdentity("edge-smtp", Date.now());

  test("hears nothing from the inside, and ends the invitation after five answers", async () => {
    const at = await freeEndpoint();
    let answers = 0;
    await using there = await impostor(at, stranger, (socket) => {
      answers += 1;
      const offer = JSON.stringify({ smtp: stranger.certificatePem, web: stranger.certificatePem });
      socket.write(`${"0".repeat(64)}${offer}\n`);
    });
    const inside = insideTo(at, tokenFor(20));
    await assert.rejects(inside.done, /somebody else/);
    assert.equal(answers, maxWrongProofs);
    assert.equal(there.heard(), 0);
    assert.deepEqual(inside.kept, []);
  });

  test("gains nothing by playing back what the true edge said, not even with its key", async () => {
    const at = await freeEndpoint();
    const token = tokenFor(20);
    const edge = edgeAt(at, token);
    // The strongest thief: has heard the true offer to the true inside, and stole the key.
    const offer = await offerOf(at);
    assert.ok(offer.includes("BEGIN CERTIFICATE"));
    const elsewhere = await freeEndpoint();
    await using there = await impostor(elsewhere, edge.smtp, (socket) => socket.write(offer));
    const inside = insideTo(elsewhere, token);
    await assert.rejects(inside.done, Denied);
    assert.equal(there.heard(), 0);
    await insideTo(at, token).done;
    await edge.done;
  });

  test("may hold the connection open without a word: the next try comes in time", async () => {
    const at = await freeEndpoint();
    await using _there = await impostor(at, stranger, (socket) => {
      setTimeout(() => socket.destroy(), 300);
    });
    await assert.rejects(insideTo(at, tokenFor(0.5)).done, Unavailable);
  });

  test("may say a line without end: it is cut off", async () => {
    const at = await freeEndpoint();
    let sent = 0;
    await using _there = await impostor(at, stranger, (socket) => {
      const more = (): void => {
        while (!socket.destroyed && socket.write("x".repeat(65_536))) sent += 65_536;
      };
      socket.on("drain", more);
      more();
    });
    await assert.rejects(insideTo(at, tokenFor(0.5)).done, Unavailable);
    assert.ok(sent < 200 * 1024 * 1024);
  });
});

describe("somebody else who dials the waiting edge", () => {
  test("hears nothing, with a certificate or without, and the enrolment goes on", async () => {
    const at = await freeEndpoint();
    const token = tokenFor(20);
    const edge = edgeAt(at, token);
    const stranger = makeLinkIdentity("hub", Date.now());
    let heard = 0;
    for (const own of [{}, { cert: stranger.certificatePem, key: stranger.keyPem }]) {
      for (const protocol of [enrolProtocol, "postern-link/1"]) {
        const options = { ...at, ...own, rejectUnauthorized: false, ALPNProtocols: [protocol] };
        const socket = connect(options);
        socket.on("data", (chunk: Buffer) => void (heard += chunk.length));
        socket.on("error", () => {});
        await new Promise((closed) => socket.once("close", closed));
      }
    }
    assert.equal(heard, 0);
    await insideTo(at, token).done;
    await edge.done;
  });
});

describe("parseToken()", () => {
  const token = tokenFor(60);

  test("reads what formatToken() wrote, with what a paste adds around it", () => {
    const read = parseToken(` ${formatToken(token)}\n`);
    assert.ok(read.ok);
    assert.deepEqual(read.value.secret, token.secret);
    assert.equal(read.value.hubFingerprint, token.hubFingerprint);
    assert.equal(read.value.expiresAtMs, Math.floor(token.expiresAtMs / 1000) * 1000);
  });

  test("names a token with a letter missing, changed or swapped as incomplete", () => {
    const text = formatToken(token);
    for (let at = 9; at < text.length; at += 1) {
      const other = text[at] === "A" ? "B" : "A";
      for (const wrong of [
        text.slice(0, at) + text.slice(at + 1),
        text.slice(0, at) + other + text.slice(at + 1),
      ]) {
        const read = parseToken(wrong);
        assert.ok(!read.ok && read.fault === "incomplete", `${at}: ${wrong}`);
      }
    }
  });

  test("takes any octets without a throw (seeded)", () => {
    const random = seededRandom(53);
    for (let round = 0; round < 20_000; round += 1) {
      const noise = random.bytes(Math.floor(random.fraction() * 120)).toString("latin1");
      const read = parseToken(round % 2 === 0 ? noise : `postern1.${noise}`);
      assert.ok(!read.ok);
    }
    assert.ok(!parseToken("postern1.".padEnd(1_000_000, "A")).ok);
  });
});
