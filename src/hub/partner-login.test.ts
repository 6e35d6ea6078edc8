/** CAP-44, CAP-45: partners log in with secrets that only the inside has. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, describe, test } from "node:test";
import { defaultsOf } from "#base/parameters";
import { pick, seededRandom, systemRandom } from "#base/random";
import type { LoginAnswer, LoginStep, PartnerMechanism } from "#contracts/inbound-login";
import { linkPair } from "#contracts/link";
import { directoryParameters } from "#directory";
import { answerScram, beginScram, scramNonce, verifyScram } from "#formats/sasl";
import type { InboundConnector } from "#model/connector";
import { fakeClock } from "../../tests/kit/fake-clock.ts";
import { answerLogin, type PartnerLogins, partnerLogins } from "./partner-login.ts";

const folder = mkdtempSync(join(tmpdir(), "partners-"));
after(() => rmSync(folder, { recursive: true }));

function secretFile(name: string, secret: string): string {
  const file = join(folder, name);
  writeFileSync(file, `${secret}\n`, { mode: 0o600 });
  return file;
}

const old = secretFile("acme-old", "old word");
const next = secretFile("acme-next", "next wörd");

const acme: InboundConnector = {
  ...{ name: "acme", door: "edge", networks: [], certificates: [], user: "Acme Mail" },
  ...{ secretFiles: [old, next], secretMaxAgeDays: 365, senderDomains: ["acme.example"] },
  ...{ requireTls: true, minVersion: "TLSv1.2", trusted: false, mayRelay: false },
};

interface Stage {
  readonly logins: PartnerLogins;
  readonly clock: ReturnType<typeof fakeClock>;
  readonly told: string[];
}

function stage(
  connectors: readonly InboundConnector[] = [acme],
  limits = defaultsOf(directoryParameters),
): Stage {
  const clock = fakeClock();
  const told: string[] = [];
  const logins = partnerLogins({
    ...{ connectors, door: "edge", clock, random: systemRandom },
    limits,
    events: {
      partnerLogin: (outcome, { mechanism }, { connector = "nobody", file = "" }) =>
        void told.push([outcome, mechanism, connector, basename(file)].join(" ").trim()),
      partnerSecretFailed: (connector, { message }) =>
        void told.push(`failed ${connector} ${basename(message)}`),
    },
  });
  return { logins, clock, told };
}

const dialogueOf = (): string => systemRandom.bytes(16).toString("hex");
const base64 = (text: string): string => Buffer.from(text).toString("base64");

function plain(logins: PartnerLogins, user: string, word: string, from = "192.0.2.7") {
  const response = base64(`\0${user}\0${word}`);
  return logins.step({ dialogue: dialogueOf(), mechanism: "PLAIN", response, from });
}

interface Wishes {
  readonly user?: string;
  readonly from?: string;
  /** What client and server each take for the value of their connection. */
  readonly exporter?: Buffer;
  readonly clientExporter?: Buffer | "none" | "unoffered";
  readonly mechanism?: PartnerMechanism;
}

/** The whole dialogue as a client has it; the client checks the server, too. */
async function scram(
  logins: PartnerLogins,
  word: string,
  wishes: Wishes = {},
): Promise<LoginAnswer> {
  const { user = "Acme Mail", from = "192.0.2.7", mechanism = "SCRAM-SHA-256", exporter } = wishes;
  const same: Omit<LoginStep, "response"> = {
    ...{ dialogue: dialogueOf(), mechanism, from },
    ...(exporter && { exporter: exporter.toString("base64") }),
  };
  const binding = wishes.clientExporter ?? "none";
  const start = beginScram("sha256", user, binding, scramNonce(systemRandom));
  assert.ok(start.ok);
  const first = await logins.step({ ...same, response: base64(start.value.message) });
  if (!("challenge" in first)) return first;
  const offered = Buffer.from(first.challenge, "base64").toString();
  const proof = await answerScram(start.value, offered, word);
  assert.ok(proof.ok);
  const last = await logins.step({ ...same, response: base64(proof.value.message) });
  if (!("challenge" in last)) return last;
  const signed = Buffer.from(last.challenge, "base64").toString();
  assert.ok(verifyScram(proof.value, signed).ok);
  return logins.step({ ...same, response: "" });
}

/** A dialogue whose client was challenged, and has not answered yet. */
interface Half {
  finish(word: string): Promise<LoginAnswer>;
}

async function half(logins: PartnerLogins, user: string, from: string): Promise<Half> {
  const same = { dialogue: dialogueOf(), mechanism: "SCRAM-SHA-256", from } as const;
  const start = beginScram("sha256", user, "none", scramNonce(systemRandom));
  assert.ok(start.ok);
  const first = await logins.step({ ...same, response: base64(start.value.message) });
  assert.ok("challenge" in first, JSON.stringify(first));
  return {
    async finish(word) {
      const offered = Buffer.from(first.challenge, "base64").toString();
      const proof = await answerScram(start.value, offered, word);
      assert.ok(proof.ok);
      return await logins.step({ ...same, response: base64(proof.value.message) });
    },
  };
}

const welcome = { user: "Acme Mail" };
const refused = { refused: "refused" };

describe("CAP-44 CAP-45 a partner's login", () => {
  test("CAP-45 the old and the new secret are both good, and the log says which was used", async () => {
    const { logins, told } = stage();
    assert.deepEqual(await scram(logins, "old word"), welcome);
    assert.deepEqual(await scram(logins, "next wörd"), welcome);
    assert.deepEqual(await plain(logins, "Acme Mail", "old word"), welcome);
    assert.deepEqual(await plain(logins, "Acme Mail", "next wörd"), welcome);
    assert.deepEqual(told, [
      "ok SCRAM-SHA-256 acme acme-old",
      "ok SCRAM-SHA-256 acme acme-next",
      "ok PLAIN acme acme-old",
      "ok PLAIN acme acme-next",
    ]);
  });

  test("CAP-45 files are read for each login: a secret that is gone lets nobody in", async () => {
    const [one, two] = [secretFile("turn-1", "first"), secretFile("turn-2", "second")];
    const { logins } = stage([{ ...acme, secretFiles: [one, two] }]);
    assert.deepEqual(await scram(logins, "first"), welcome);
    writeFileSync(one, "");
    assert.deepEqual(await scram(logins, "first"), refused);
    assert.deepEqual(await scram(logins, "second"), welcome);
    writeFileSync(one, "third\n");
    assert.deepEqual(await plain(logins, "Acme Mail", "third"), welcome);
  });

  test("wrong secrets, unknown users and other doors are refused alike", async () => {
    const { logins, told } = stage([
      acme,
      { ...acme, name: "inner", door: "relay", user: "inner" },
    ]);
    for (const user of ["Acme Mail", "nobody", "inner"]) {
      assert.deepEqual(await scram(logins, "wrong", { user }), refused, user);
      assert.deepEqual(await plain(logins, user, "wrong"), refused, user);
    }
    assert.deepEqual(await plain(logins, "inner", "old word"), refused);
    assert.equal(told.filter((line) => line.startsWith("refused")).length, told.length);
  });

  test("an unknown user is offered salt and iterations like a known one, the same each time", async () => {
    const { logins } = stage();
    const offers = async (user: string): Promise<string> => {
      const step = {
        dialogue: dialogueOf(),
        mechanism: "SCRAM-SHA-256",
        from: "192.0.2.7",
      } as const;
      const answer = await logins.step({ ...step, response: base64(`n,,n=${user},r=abc`) });
      assert.ok("challenge" in answer);
      return Buffer.from(answer.challenge, "base64")
        .toString()
        .replace(/^r=[^,]*/, "");
    };
    const [known, unknown] = [await offers("Acme Mail"), await offers("nobody")];
    assert.match(known, /^,s=[A-Za-z0-9+/]{22}==,i=4096$/);
    assert.match(unknown, /^,s=[A-Za-z0-9+/]{22}==,i=4096$/);
    assert.equal(await offers("Acme Mail"), known);
    assert.equal(await offers("nobody"), unknown);
  });

  test("S9 it takes as long for an unknown user as for a known one", async () => {
    const { logins } = stage();
    const tookMs: Record<string, number[]> = { "Acme Mail": [], nobody: [] };
    for (let round = 0; round < 40; round += 1) {
      for (const [user, list] of Object.entries(tookMs)) {
        const from = `2001:db8:${round}::1`;
        const step = { dialogue: dialogueOf(), mechanism: "SCRAM-SHA-256", from } as const;
        const fromMs = performance.now();
        const answer = await logins.step({ ...step, response: base64(`n,,n=${user},r=abc`) });
        if ("challenge" in answer) list.push(performance.now() - fromMs);
      }
    }
    const median = (list: readonly number[] = []): number =>
      list.toSorted((one, other) => one - other)[Math.floor(list.length / 2)] ?? 0;
    const [known, unknown] = [median(tookMs["Acme Mail"]), median(tookMs["nobody"])];
    // Both derive two keys of 4096 rounds; without that the unknown would answer at once.
    assert.ok(unknown > known / 3 && unknown < known * 3, `${known} ms, ${unknown} ms`);
  });

  test("-PLUS binds the login to the TLS session (RFC 9266)", async () => {
    const { logins } = stage();
    const exporter = Buffer.alloc(32, 7);
    const mechanism = "SCRAM-SHA-256-PLUS";
    const bound = { mechanism, exporter, clientExporter: exporter } as const;
    assert.deepEqual(await scram(logins, "old word", bound), welcome);
    // Somebody in the middle: the client's session is another one than ours.
    const middle = { ...bound, clientExporter: Buffer.alloc(32, 8) };
    assert.deepEqual(await scram(logins, "old word", middle), refused);
    // Our offer of -PLUS was taken out on the way (RFC 5802 §6).
    const stripped = { exporter, clientExporter: "unoffered" } as const;
    assert.deepEqual(await scram(logins, "old word", stripped), refused);
    assert.deepEqual(
      await scram(logins, "old word", { mechanism, clientExporter: exporter }),
      refused,
    );
    assert.deepEqual(await scram(logins, "old word", { clientExporter: "unoffered" }), welcome);
  });

  test("guessing is slowed down per user and per network, and its owner still gets in", async () => {
    const { logins } = stage();
    assert.deepEqual(await plain(logins, "Acme Mail", "old word", "198.51.100.1"), welcome);
    const outcomes = new Set<string>();
    for (let round = 0; round < 40; round += 1) {
      const answer = await plain(logins, "Acme Mail", `guess ${round}`, `192.0.2.${round % 3}`);
      outcomes.add(JSON.stringify(answer));
    }
    assert.deepEqual([...outcomes], ['{"refused":"refused"}', '{"refused":"slow-down"}']);
    assert.deepEqual(await plain(logins, "Acme Mail", "old word"), { refused: "slow-down" });
    assert.deepEqual(await plain(logins, "Acme Mail", "old word", "198.51.100.1"), welcome);
  });

  test("CAP-44 a thousand half-open dialogues of strangers shut no partner out", async () => {
    const { logins } = stage();
    const known = "198.51.100.1";
    assert.deepEqual(await scram(logins, "old word", { from: known }), welcome);
    const partner = await half(logins, "Acme Mail", known);
    const strangers: Half[] = [];
    for (let index = 0; index < 1000; index += 1) {
      strangers.push(await half(logins, `user${index}`, `2001:db8:${index.toString(16)}::1`));
    }
    assert.deepEqual(await scram(logins, "old word", { from: "203.0.113.9" }), welcome);
    // The oldest stranger is forgotten, the partner's older one is not.
    assert.deepEqual(await strangers[0]?.finish("guess"), { refused: "bad-response" });
    assert.deepEqual(await strangers[999]?.finish("guess"), refused);
    assert.ok("challenge" in (await partner.finish("old word")));
  });

  test("CAP-44 half-open dialogues of one network end each other, and nobody else's", async () => {
    const limits = { ...defaultsOf(directoryParameters), networkFailures: 1000 };
    const { logins } = stage([acme], limits);
    const other = await half(logins, "Acme Mail", "198.51.100.1");
    const near: Half[] = [];
    for (let index = 0; index < 40; index += 1) {
      near.push(await half(logins, `user${index}`, `2001:db8::${index.toString(16)}`));
    }
    assert.deepEqual(await near[7]?.finish("guess"), { refused: "bad-response" });
    assert.deepEqual(await near[8]?.finish("guess"), refused);
    assert.ok("challenge" in (await other.finish("old word")));
  });

  test("dialogues are forgotten after a minute", async () => {
    const { logins, clock } = stage();
    const late = await half(logins, "Acme Mail", "192.0.2.7");
    await clock.advance(60_001);
    assert.deepEqual(await late.finish("old word"), { refused: "bad-response" });
    assert.deepEqual(await scram(logins, "old word"), welcome);
  });

  test("a dialogue is for one client and mechanism, and ends with a proof that is wrong", async () => {
    const { logins } = stage();
    const same = { dialogue: dialogueOf(), mechanism: "SCRAM-SHA-256", from: "192.0.2.7" } as const;
    const start = beginScram("sha256", "Acme Mail", "none", "abc");
    assert.ok(start.ok);
    const first = await logins.step({ ...same, response: base64(start.value.message) });
    assert.ok("challenge" in first);
    const offered = Buffer.from(first.challenge, "base64").toString();
    const proof = await answerScram(start.value, offered, "old word");
    assert.ok(proof.ok);
    const response = base64(proof.value.message);
    assert.deepEqual(await logins.step({ ...same, response, from: "192.0.2.8" }), refused);
    const again = await logins.step({ ...same, response });
    assert.deepEqual(again, { refused: "bad-response" });
  });

  test("secrets that cannot be read put the partner off, and the administrator hears of it", async () => {
    const { logins, told } = stage([{ ...acme, secretFiles: [join(folder, "gone")] }]);
    assert.deepEqual(await plain(logins, "Acme Mail", "old word"), { refused: "busy" });
    assert.deepEqual(await scram(logins, "old word"), { refused: "busy" });
    assert.match(told.join("\n"), /^failed acme gone/);
  });

  test("over the link: a wrong shape is told apart from a wrong secret", async () => {
    const { logins } = stage();
    const [edge, hub] = linkPair();
    const misshapen: unknown[] = [];
    hub.onStream((stream) =>
      answerLogin(stream, logins, () => {
        misshapen.push(stream.header);
        stream.abort("wrong shape");
      }),
    );
    const step = { dialogue: dialogueOf(), mechanism: "PLAIN", from: "192.0.2.7" } as const;
    const response = base64("\0Acme Mail\0old word");
    assert.deepEqual(await edge.open("authenticate", { ...step, response }).answered, welcome);
    const odd: readonly unknown[] = [
      null,
      [],
      { ...step },
      { ...step, response: "!!!" },
      { ...step, response: "A".repeat(12_292) },
      { ...step, response, dialogue: "1" },
      { ...step, response, mechanism: "LOGIN" },
      { ...step, response, from: "somewhere" },
      { ...step, response, exporter: 7 },
      { ...step, response, more: true },
    ];
    for (const header of odd) {
      await assert.rejects(edge.open("authenticate", header).answered, JSON.stringify(header));
    }
    assert.equal(misshapen.length, odd.length);
    edge.close("done");
  });

  test("octets of any kind are answered, and let nobody in (seeded)", async () => {
    const { logins } = stage();
    const random = seededRandom(0x5a51);
    const good = [`n,,n=Acme Mail,r=abc`, `c=biws,r=abc,p=`, `\0Acme Mail\0x`];
    for (let round = 0; round < 300; round += 1) {
      const octets = Buffer.from(good[pick(random, good.length)] ?? "");
      for (let change = pick(random, 4); change > 0; change -= 1) {
        octets[pick(random, octets.length)] = pick(random, 256);
      }
      const answer = await logins.step({
        ...{ dialogue: dialogueOf(), response: octets.toString("base64") },
        mechanism:
          (["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"] as const)[pick(random, 3)] ?? "PLAIN",
        from: `2001:db8:${round.toString(16)}::1`,
      });
      assert.ok(!("user" in answer));
    }
  });
});
