/** Ten times the load that fits: put off early, nothing acknowledged is lost, others are still served. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect } from "node:tls";
import { drainStorm } from "../kit/drain-storm.ts";
import { type Installation, type Ready, startInstallation } from "../kit/installation.ts";
import { mailboxMarkers } from "../kit/mailbox-markers.ts";
import { type CrowdResult, smtpCrowd } from "../kit/smtp-crowd.ts";

const atOnce = 20;
const seconds = 6;
const config = `[edge]
depositsAtOnce = ${atOnce}
depositsWaiting = ${2 * atOnce}
[smtp]
connectionsPerAddress = 5000
[abuse]
heldMib = 16
`;

function residentMb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return (Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024) / 1e6;
}

/** Milliseconds from the connection to the answer on LOGIN. */
async function imapLogin(ready: Ready): Promise<number> {
  const begin = performance.now();
  const { address, password } = ready.accounts[1] ?? { address: "", password: "" };
  const socket = connect({ ...ready.imap, ca: readFileSync(ready.ca), servername: "localhost" });
  let said = "";
  socket.on("data", (chunk: Buffer) => (said += chunk.toString("latin1")));
  await once(socket, "secureConnect");
  socket.write(`a LOGIN "${address}" "${password}"\r\n`);
  while (!/^a /m.test(said)) await once(socket, "data");
  socket.destroy();
  assert.match(said, /^a OK/m);
  return performance.now() - begin;
}

/** Milliseconds until the page of the login is there. */
async function webLogin(ready: Ready): Promise<number> {
  const begin = performance.now();
  const { hostname, port } = new URL(ready.https.url);
  const socket = connect({
    ...{ host: hostname, port: Number(port), ca: readFileSync(ready.ca), servername: "localhost" },
  });
  await once(socket, "secureConnect");
  socket.write(`GET /login HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: close\r\n\r\n`);
  const [first] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  assert.match(first.toString("latin1"), /^HTTP\/1\.1 (?:200|30\d) /);
  return performance.now() - begin;
}

describe("V2 overload (6 variants with those of src/edge/smtp/abuse/parts.test.ts)", () => {
  let installation: Installation;
  let crowd: CrowdResult;
  const peaks: Record<string, number> = {};
  const logins: number[] = [];
  const pages: number[] = [];

  before(async () => {
    installation = await startInstallation({ config });
    const ready = installation.ready();
    let over = false;
    const sending = smtpCrowd(
      ready.smtp.port,
      ready.accounts[0]?.address ?? "",
      10 * atOnce,
      seconds,
    );
    const finished = sending.finally(() => (over = true));
    while (!over) {
      for (const [name, pid] of Object.entries(ready.pids)) {
        peaks[name] = Math.max(peaks[name] ?? 0, residentMb(pid));
      }
      logins.push(await imapLogin(ready));
      pages.push(await webLogin(ready));
      await Promise.race([finished, pause(200)]);
    }
    crowd = await sending;
  });
  after(() => installation[Symbol.asyncDispose]());

  test("V2 what does not fit is put off with 421 or 451, and what fits still goes in", (t) => {
    t.diagnostic(JSON.stringify(crowd.codes));
    const { 250: kept = 0, 421: closed = 0, 451: later = 0, ...others } = crowd.codes;
    assert.ok(kept > 100, `${kept}`);
    assert.ok(closed + later > 0, `${closed} ${later}`);
    assert.deepEqual(others, {});
  });

  test("V2 every 250 is in the mailbox, once", async () => {
    const found = await mailboxMarkers(installation.ready(), 0, () => true);
    assert.deepEqual(
      crowd.acknowledged.filter((marker) => !found.has(marker)),
      [],
    );
    assert.ok([...found.values()].every(({ count }) => count === 1));
    assert.equal(found.size, crowd.acknowledged.length);
  });

  test("V2 logins keep their share: IMAP and the web answer all the time", (t) => {
    const slowest = [Math.max(...logins), Math.max(...pages)].map(Math.round);
    t.diagnostic(
      `${logins.length} logins each; slowest: IMAP ${slowest[0]} ms, web ${slowest[1]} ms`,
    );
    assert.ok(logins.length > 2);
    assert.ok(Math.max(...slowest) < 10_000);
  });

  test("V2 memory is bounded", (t) => {
    const text = Object.entries(peaks).map(([name, mb]) => `${name} ${mb.toFixed(0)} MB`);
    t.diagnostic(text.join(", "));
    assert.ok((peaks["edge-smtp"] ?? 0) < 400, `${peaks["edge-smtp"]}`);
    assert.ok((peaks["hub"] ?? 0) < 800, `${peaks["hub"]}`);
  });
});

/** The long form: node tests/kit/drain-storm.ts --drains 100 */
describe("V6 drain under load", () => {
  test("V6 SIGTERM five times while mail flows: nothing acknowledged is lost, within 30 s", async (t) => {
    const result = await drainStorm({ drains: 5, senders: 4, seed: 6 });
    const slowest = Math.max(...result.seconds);
    t.diagnostic(`${result.acknowledged} acknowledged, slowest stop ${slowest.toFixed(1)} s`);
    assert.deepEqual([result.lost, result.doubled], [[], []]);
    assert.deepEqual(result.exitCodes, [0, 0, 0, 0, 0]);
    assert.ok(slowest < 30, `${slowest} s`);
    assert.ok(result.acknowledged > 20);
  });
});
