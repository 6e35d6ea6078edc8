import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { Unavailable } from "#base/errors";
import type { KeptKey } from "#contracts/keyring";
import type { DkimRecord } from "#identity/dkim";
import { openCustody } from "#keys/custody";
import { type Zone, zoneResolver } from "../../tests/kit/fake-dns.ts";
import { dkimRoutes } from "./admin-dkim.ts";

const folder = mkdtempSync(join(tmpdir(), "admin-dkim-"));
after(() => rmSync(folder, { recursive: true }));

type Ports = Parameters<typeof dkimRoutes>[1];

const madeAtMs = Date.UTC(2026, 4, 1);
const twoWeeksMs = 14 * 86_400_000;

describe("dkimRoutes()", async () => {
  const custody = await openCustody(folder);
  await custody.make("example.org", madeAtMs);
  const acted: string[] = [];
  let nowMs = madeAtMs;
  let zone: Zone = {};
  const app = new Hono();
  app.onError((error, c) => {
    const status = error instanceof HTTPException ? error.status : 503;
    assert.ok(error instanceof HTTPException || error instanceof Unavailable, String(error));
    return c.json({ error: error.message }, status);
  });
  const ports = {
    directory: { domains: () => [{ name: "example.org" }] },
    keyring: {
      allDkimKeys: async (domain: string) => custody.list(domain),
      addDkimKeys: (domain: string) => custody.add(domain, nowMs),
      activateDkimKeys: (domain: string, names: readonly string[]) =>
        custody.activate(domain, names, nowMs),
      retireDkimKeys: (domain: string, names: readonly string[], isForced: boolean) =>
        custody.retire(domain, names, { nowMs, isForced }),
    },
    resolver: {
      query: (name: string, type: "TXT") => zoneResolver(zone).query(name, type),
    },
    events: { adminActed: (what: string, by: string) => acted.push(`${by}: ${what}`) },
  } as unknown as Ports;
  dkimRoutes(app, ports, "test");

  const list = async (): Promise<(KeptKey & DkimRecord)[]> =>
    (await (await app.request("/domains/example.org/dkim")).json()) as (KeptKey & DkimRecord)[];
  const states = async (): Promise<string[]> =>
    (await list()).map(({ selector, state }) => `${selector} ${state}`);
  const post = async (path: string, wish: object = {}): Promise<readonly [number, string]> => {
    const reply = await app.request(path, { method: "POST", body: JSON.stringify(wish) });
    const { done, error } = (await reply.json()) as { done?: string; error?: string };
    return [reply.status, done ?? error ?? ""];
  };
  const at = "/domains/example.org/dkim";

  test("adds keys for domains of ours, and lists them with their records", async () => {
    assert.equal((await post("/domains/other.example/dkim"))[0], 409);
    const what = "add DKIM keys 2026a2 2026e2 of example.org";
    assert.deepEqual(await post(at), [200, what]);
    assert.deepEqual(acted, [`test: ${what}`]);
    assert.deepEqual(await states(), [
      ...["2026a active", "2026a2 pending", "2026e active", "2026e2 pending"],
    ]);
    const [, added] = await list();
    assert.equal(added?.name, "2026a2._domainkey.example.org");
    assert.match(added?.text ?? "", /^v=DKIM1; k=rsa; h=sha256; p=/);
  });

  test("activates only what the DNS shows", async () => {
    const keys = await list();
    const entry = (nth: number, change = (text: string): string => text): Zone => {
      const { name = "", text = "" } = keys[nth] ?? {};
      return { [name]: [{ TXT: change(text) }] };
    };
    const cases: readonly (readonly [Zone, number, RegExp])[] = [
      [{}, 409, /2026a2._domainkey.example.org is not published: it must be v=DKIM1; k=rsa/],
      [entry(1), 409, /2026e2._domainkey.example.org is not published/],
      [{ ...entry(1), ...entry(3, () => "v=DKIM1; p=") }, 409, /differs/],
      [{ ...entry(1), ...entry(3, (text) => text.replace("sha256", "sha1")) }, 409, /differs/],
      [{ ...entry(1), ...entry(3, (text) => text.replace("k=ed25519; ", "")) }, 409, /differs/],
      [{ ...entry(1), ...entry(3, () => ";;;") }, 409, /differs/],
      [{ "2026a2._domainkey.example.org": ["TIMEOUT"] }, 503, /TXT of 2026a2/],
      [
        { "2026a2._domainkey.example.org": [{ TXT: "v=DKIM1; p=AA" }, { TXT: "v=DKIM1; p=AB" }] },
        ...([409, /has several records/] as const),
      ],
    ];
    for (const [shown, status, why] of cases) {
      zone = shown;
      const [got, said] = await post(`${at}/activate`);
      assert.equal(got, status, said);
      assert.match(said, why);
    }
    assert.deepEqual(
      custody.keys("example.org").map(({ selector }) => selector),
      ["2026a", "2026e"],
    );
    zone = { ...entry(1, (text) => `${text.replace("h=sha256; ", "")}; t=s`), ...entry(3) };
    nowMs += 1000;
    assert.deepEqual(await post(`${at}/activate`), [
      ...[200, "activate DKIM keys 2026a2 2026e2 of example.org"],
    ]);
    assert.deepEqual(await states(), [
      ...["2026a retiring", "2026a2 active", "2026e retiring", "2026e2 active"],
    ]);
    assert.deepEqual(await post(`${at}/activate`), [409, "no key of example.org is pending"]);
  });

  test("destroys what retired, after two weeks or by force", async () => {
    assert.match((await post(`${at}/retire`))[1], /good until 2026-05-15T00:00Z/);
    assert.equal((await post(`${at}/retire`, { selectors: ["2026a2"], force: true }))[0], 409);
    assert.equal((await post(`${at}/retire`, { selectors: ["2020a"] }))[0], 404);
    assert.equal((await post(`${at}/retire`, { selectors: ["../x"] }))[0], 400);
    assert.equal((await post(`${at}/retire`, { selectors: ["2026e"], force: true }))[0], 200);
    nowMs += twoWeeksMs;
    assert.deepEqual(await post(`${at}/retire`), [200, "destroy DKIM keys 2026a of example.org"]);
    assert.deepEqual(await states(), ["2026a2 active", "2026e2 active"]);
    assert.deepEqual(await post(`${at}/retire`), [409, "no key of example.org is retiring"]);
    assert.equal(acted.length, 4);
  });

  test("activates by force what the DNS does not show, and takes an old key back", async () => {
    zone = {};
    await post(at);
    assert.equal((await post(`${at}/activate`, { force: true }))[0], 200);
    const back = { selectors: ["2026a2"], force: true };
    assert.equal((await post(`${at}/activate`, back))[0], 200);
    assert.deepEqual(await states(), [
      ...["2026a2 active", "2026a3 retiring", "2026e2 retiring", "2026e3 active"],
    ]);
  });
});
