import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { type Log, type LogFields, silentLog } from "#base/log";
import { pick, seededRandom } from "#base/random";
import { type Frame, FrameReader } from "#contracts/keyring";
import { openCustody } from "#keys/custody";
import { type AnswerPorts, answerTo } from "./answer.ts";
import { keyringEvents } from "./events.ts";
import { openCurrentLog } from "./log/current-log.ts";
import { openMasters } from "./master/masters.ts";

const folder = mkdtempSync(join(tmpdir(), "answer-"));
let ports: AnswerPorts;

before(async () => {
  const keys = join(folder, "keys");
  mkdirSync(keys);
  ports = {
    clock: systemClock,
    custody: await openCustody(keys),
    masters: await openMasters({ source: "file", directory: join(folder, "master") }, () => {}),
    log: await openCurrentLog(join(folder, "log"), "mail.example.org"),
    events: keyringEvents(silentLog),
  };
});
after(() => rmSync(folder, { recursive: true }));

async function answer(
  head: Frame["head"],
  body: Buffer = Buffer.alloc(0),
  with_: AnswerPorts = ports,
): Promise<Frame> {
  const reader = new FrameReader();
  reader.trust();
  const frames: Frame[] = [];
  assert.ok(reader.feed(await answerTo({ head, body }, with_), (frame) => void frames.push(frame)));
  const [frame] = frames;
  assert.ok(frame !== undefined && frames.length === 1);
  return frame;
}

const purpose = "store 0011223344556677";

describe("answerTo()", () => {
  test("wraps, unwraps, and leaves no key in the request", async () => {
    const key = Buffer.alloc(32, 7);
    const { head, body } = await answer({ id: 1, do: "wrapKey", purpose }, key);
    assert.deepEqual(key, Buffer.alloc(32));
    const { master } = head;
    const back = await answer({ id: 2, do: "unwrapKey", master, purpose }, Buffer.from(body));
    assert.deepEqual(back.body, Buffer.alloc(32, 7));
    assert.equal(back.head["id"], 2);
  });

  test("tells refusals apart, each with its reason", async () => {
    const current = ports.masters.ids().current;
    const cases = [
      [{ do: "unwrapKey", master: "0011223344556677", purpose }, "unknown-master"],
      [{ do: "unwrapKey", master: current, purpose }, "damaged"],
      [{ do: "wrapKey", purpose }, "denied"],
      [{ do: "retireMaster", master: current }, "denied"],
      [{ do: "signHead" }, "denied"],
    ] as const;
    for (const [head, fault] of cases) {
      const { head: said } = await answer({ id: 3, ...head }, Buffer.alloc(60));
      assert.equal(said["fault"], fault, head.do);
      assert.ok(String(said["why"]).length > 10);
    }
  });

  test("writes no key, no PIN and nothing that was signed into its log", async () => {
    const lines: (LogFields | undefined)[] = [];
    const log: Log = { write: (_level, _event, fields) => void lines.push(fields) };
    const logged = { ...ports, events: keyringEvents(log) };
    const secret = Buffer.from("s".repeat(32));
    await answer({ id: 1, do: "wrapKey", purpose: "\n" }, secret, logged);
    await answer({ id: 1, do: "wrapKey", purpose }, Buffer.from("s".repeat(31)), logged);
    await answer({ id: 1, do: "signHead" }, Buffer.from("s".repeat(40)), logged);
    assert.equal(lines.length, 3);
    assert.ok(!JSON.stringify(lines).includes("sss"));
  });

  test("gives one answer to whatever comes, and a key only to what was wrapped (seeded)", async () => {
    const random = seededRandom(1789);
    const wrapped = await ports.masters.wrapKey(Buffer.alloc(32, 9), purpose);
    const verbs = ["dkimKeys", "dkimSign", "wrapKey", "unwrapKey", "masterIds", "logKeys"];
    verbs.push("retireMaster", "signHead", "renewLog", "rotate", "constructor", "__proto__", "");
    const values: readonly unknown[] = [
      ...[purpose, wrapped.master, "", "example.org", "../x", "x".repeat(5000), "\u0000\ud800"],
      ...[0, -1, 1e300, null, true, [], {}, [purpose], undefined],
    ];
    const any = <Value>(list: readonly Value[]): Value | undefined =>
      list[pick(random, list.length)];
    let keys = 0;
    for (let round = 0; round < 20_000; round += 1) {
      const isGood = random.fraction() < 0.05;
      const head = isGood
        ? { id: round, do: "unwrapKey", master: wrapped.master, purpose }
        : {
            ...{ id: any(values), do: any([...verbs, ...values]), domain: any(values) },
            ...{ selector: any(values), purpose: any(values), master: any(values) },
          };
      const body =
        random.fraction() < 0.5 ? Buffer.from(wrapped.wrapped) : random.bytes(pick(random, 80));
      if (random.fraction() < 0.3 && body.length > 0)
        body[pick(random, body.length)] = pick(random, 256);
      const isWhole = body.equals(wrapped.wrapped);
      const said = await answer(head as Frame["head"], body);
      if (head.do === "unwrapKey" && said.head["fault"] === undefined) {
        assert.ok(isWhole && head.master === wrapped.master && head.purpose === purpose);
        assert.deepEqual(said.body, Buffer.alloc(32, 9));
        keys += 1;
      }
    }
    assert.ok(keys > 100);
    assert.equal(ports.masters.ids().held.length, 1);
  });
});
