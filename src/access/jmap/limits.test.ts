import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { after, before, describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { ada, type Fixture, type Json, openFixture } from "../../../tests/kit/jmap-door.ts";
import { methods } from "./methods.ts";

const using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"];
const echo = (args: object, id: string) => ["Core/echo", args, id];

describe("JMAP limits (RFC 8620 §3.6.1, §5)", () => {
  let fixture: Fixture;
  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());
  const api = async (body: unknown): Promise<Json> => await fixture.jmap.api(ada, body);

  test("takes 16 calls and refuses the seventeenth", async () => {
    const calls = (count: number) =>
      Array.from({ length: count }, (_, at) => echo({ at }, `c${at}`));
    assert.equal((await api({ using, methodCalls: calls(16) })).methodResponses.length, 16);
    const refused = await api({ using, methodCalls: calls(17) });
    assert.deepEqual(
      [refused.type, refused.limit, refused.status],
      ["urn:ietf:params:jmap:error:limit", "maxCallsInRequest", 400],
    );
  });

  test("takes 500 objects and refuses one more, in get and in set", async () => {
    const ids = (count: number) => Array.from({ length: count }, (_, at) => `x${at}`);
    for (const name of ["Email/get", "Mailbox/get", "Thread/get"]) {
      assert.equal((await fixture.one(name, { ids: ids(500) }))["notFound"].length, 500, name);
      assert.equal((await fixture.one(name, { ids: ids(501) }))["type"], "requestTooLarge", name);
    }
    for (const name of ["Email/set", "Mailbox/set", "EmailSubmission/set"]) {
      assert.equal(
        (await fixture.one(name, { destroy: ids(501) }))["type"],
        "requestTooLarge",
        name,
      );
      const update = Object.fromEntries(ids(251).map((id) => [id, {}]));
      const both = await fixture.one(name, { update, destroy: ids(250) });
      assert.equal(both["type"], "requestTooLarge", name);
    }
  });

  const requests: readonly (readonly [string, unknown, string])[] = [
    ["more than 10 MB", Buffer.alloc(10_000_001, 0x20), "limit"],
    ["what is not JSON", Buffer.from('{"using":'), "notJSON"],
    ["what is not UTF-8", Buffer.from([0x22, 0xff, 0x22]), "notJSON"],
    ["a list", Buffer.from("[]"), "notRequest"],
    ["no calls", { using }, "notRequest"],
    ["a call of two", { using, methodCalls: [["Core/echo", {}]] }, "notRequest"],
    ["arguments that are a list", { using, methodCalls: [["Core/echo", [], "a"]] }, "notRequest"],
    ["an unknown capability", { using: ["urn:x"], methodCalls: [] }, "unknownCapability"],
    ["JSON of a million levels", Buffer.from("[".repeat(1e6) + "]".repeat(1e6)), "limit"],
    [
      "a filter of 100 levels",
      { using, methodCalls: [["Email/query", { accountId: ada.id, filter: deep(100) }, "a"]] },
      "limit",
    ],
  ];
  for (const [what, body, error] of requests) {
    test(`refuses ${what}`, async () => {
      const answer = await api(body);
      const type = String(answer.type).replace("urn:ietf:params:jmap:error:", "");
      // The JSON parser itself may give up on the deepest ones.
      assert.ok(type === error || (what.includes("million") && type === "notJSON"), type);
    });
  }

  function deep(levels: number): object {
    let filter: object = { from: "a" };
    for (let at = 0; at < levels / 2; at += 1) filter = { operator: "NOT", conditions: [filter] };
    return filter;
  }

  test("refuses filters of too many conditions", async () => {
    const conditions = Array.from({ length: 200 }, () => ({ from: "a" }));
    const answer = await fixture.one("Email/query", { filter: { operator: "OR", conditions } });
    assert.equal(answer["type"], "unsupportedFilter");
  });

  test("defuses references that double with every call", async () => {
    const methodCalls: unknown[] = [echo({ a: "x".repeat(100_000) }, "c0")];
    for (let at = 1; at < 16; at += 1) {
      const last = { resultOf: `c${at - 1}`, name: "Core/echo", path: "" };
      methodCalls.push(echo({ "#a": last, "#b": last }, `c${at}`));
    }
    const { methodResponses } = await api({ using, methodCalls });
    assert.ok(JSON.stringify(methodResponses).length < 5_000_000);
    assert.equal(methodResponses.at(-1)[0], "error");
  });

  test("defuses references that flatten lists of lists", async () => {
    const row = Array.from({ length: 2000 }, () => 1);
    const rows = Array.from({ length: 1000 }, () => row);
    const path = { resultOf: "a", name: "Core/echo", path: "/rows/*/*" };
    const methodCalls = [echo({ rows }, "a"), echo({ "#b": path }, "b")];
    const { methodResponses } = await api({ using, methodCalls });
    assert.deepEqual(methodResponses[1].slice(0, 2), [
      "error",
      { type: "invalidResultReference", description: "b" },
    ]);
  });

  const references: readonly (readonly [string, unknown])[] = [
    ["a later call", { resultOf: "z", name: "Core/echo", path: "/a" }],
    ["itself", { resultOf: "b", name: "Core/echo", path: "/a" }],
    ["another method", { resultOf: "a", name: "Email/get", path: "/a" }],
    ["what is not there", { resultOf: "a", name: "Core/echo", path: "/b" }],
    ["what every object inherits", { resultOf: "a", name: "Core/echo", path: "/__proto__" }],
    ["a list's length", { resultOf: "a", name: "Core/echo", path: "/a/length" }],
    ["no path", { resultOf: "a", name: "Core/echo" }],
    ["a string", "a"],
  ];
  for (const [what, reference] of references) {
    test(`refuses a reference to ${what}`, async () => {
      const methodCalls = [echo({ a: [1] }, "a"), echo({ "#x": reference }, "b")];
      const { methodResponses } = await api({ using, methodCalls });
      assert.equal(methodResponses[1][1].type, "invalidResultReference");
    });
  }

  test("runs 4 requests at once, lets 16 wait, and refuses the rest", async () => {
    const body = { using, methodCalls: [["Mailbox/get", { accountId: ada.id, ids: null }, "a"]] };
    const answers = await Promise.all(Array.from({ length: 30 }, () => api(body)));
    const refused = answers.filter((one) => one.limit === "maxConcurrentRequests");
    assert.equal(refused.length, 10);
    assert.ok((await api(body)).methodResponses);
  });

  test("bounds uploads in size and room", async () => {
    const half = Buffer.alloc(12_000_000);
    const first: Json = await fixture.jmap.upload(ada, "a/b", [half]);
    const second: Json = await fixture.jmap.upload(ada, "A/B; x=y", [half]);
    assert.equal(second.type, "a/b");
    await fixture.jmap.upload(ada, "a/b", [half]);
    assert.equal(await fixture.jmap.download(ada, first.blobId), undefined); // it gave way
    assert.ok(await fixture.jmap.download(ada, second.blobId));
    let read = 0;
    const endless = (async function* () {
      for (;;) {
        read += 1_000_000;
        yield Buffer.alloc(1_000_000);
      }
    })();
    const refused: Json = await fixture.jmap.upload(ada, "a/b", endless);
    assert.equal(refused.limit, "maxSizeUpload");
    assert.ok(read <= 26_000_000);
  });

  test("refuses unknown methods, arguments and accounts", async () => {
    assert.equal((await fixture.one("Email/explode", {}))["type"], "unknownMethod");
    assert.equal((await fixture.one("toString", {}))["type"], "unknownMethod");
    assert.equal((await fixture.one("Email/get", { idz: [] }))["type"], "invalidArguments");
    assert.equal((await fixture.one("Email/get", { ids: "x" }))["type"], "invalidArguments");
    assert.equal(
      (await fixture.one("Email/get", { accountId: "no", ids: [] }))["type"],
      "accountNotFound",
    );
    const methodCalls = [["Identity/get", { accountId: ada.id, ids: null }, "a"]];
    const { methodResponses } = await api({ using, methodCalls });
    assert.equal(methodResponses[0][1].type, "unknownMethod"); // its capability is not in "using"
  });

  test("answers arbitrary arguments of every method without failing inside", async () => {
    const random = seededRandom(11);
    const values: readonly unknown[] = [
      null,
      true,
      0,
      -1,
      1e300,
      "",
      "x",
      "#x",
      "M00000000000000000000000000000000",
      [],
      [null],
      ["x"],
      {},
      { x: {} },
      { x: null },
      { a: { name: "n", mailboxIds: {} } },
      { operator: "AND", conditions: [{}] },
      { __proto__: null, constructor: {} },
      [{ property: "receivedAt" }],
    ];
    for (let round = 0; round < 600; round += 1) {
      const [name, method] = [...methods][pick(random, methods.size)] ?? ["", undefined];
      const args: Record<string, unknown> = {};
      for (const key of Object.keys(method?.schema ?? {})) {
        if (key !== "accountId" && pick(random, 2) === 0)
          args[key] = values[pick(random, values.length)];
      }
      const answer = await fixture.one(name, args);
      assert.notEqual(answer["type"], "serverFail", `${name} ${JSON.stringify(args)}`);
    }
  });
});
