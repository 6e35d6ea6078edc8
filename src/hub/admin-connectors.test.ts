import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hono } from "hono";
import { defaultsOf } from "#base/parameters";
import {
  completeInbound,
  completeOutbound,
  inboundParameters,
  outboundParameters,
} from "#transport/connectors";
import { fakeClock } from "../../tests/kit/fake-clock.ts";
import { connectorRoutes } from "./admin-connectors.ts";
import { connectorHealth } from "./connectors/index.ts";

describe("connectorRoutes()", () => {
  const tried: string[] = [];
  const app = new Hono();
  const spaces = ["partner.example"];
  connectorRoutes(app, {
    settings: {
      outbound: [completeOutbound("partner", { ...defaultsOf(outboundParameters), spaces })],
      inbound: [
        completeInbound("partner", {
          ...defaultsOf(inboundParameters),
          networks: ["192.0.2.0/24"],
        }),
      ],
    },
    clock: fakeClock(),
    connectors: {
      health: connectorHealth(),
      async probe({ name }, domain) {
        tried.push(`${name} ${domain}`);
        return { connector: name, domain, ranked: [], hosts: [] };
      },
    },
  });
  const asked = async (path: string): Promise<string[]> => {
    const reply = await app.request(path);
    const facts = (await reply.json()) as { name: string; direction: string }[];
    return facts.map(({ name, direction }) => `${direction} ${name}`);
  };
  const wish = (name: string, body: object) =>
    app.request(`/connectors/${name}/test`, { method: "POST", body: JSON.stringify(body) });

  test("CAP-42 lists all, shows those of one name, and knows no others", async () => {
    const both = ["outbound partner", "inbound partner"];
    assert.deepEqual(await asked("/connectors"), [
      "outbound partner",
      "outbound default",
      "inbound partner",
    ]);
    assert.deepEqual(await asked("/connectors/partner"), both);
    assert.equal((await app.request("/connectors/other")).status, 404);
  });

  test("CAP-42 tries what it was asked to try, and nothing else", async () => {
    assert.equal((await wish("partner", { domain: "Bücher.example" })).status, 200);
    assert.equal((await wish("default", { domain: "[192.0.2.1]" })).status, 200);
    assert.equal((await wish("other", { domain: "a.example" })).status, 404);
    assert.equal((await wish("partner", { domain: "a b" })).status, 400);
    assert.equal((await wish("partner", {})).status, 400);
    assert.deepEqual(tried, ["partner xn--bcher-kva.example", "default [192.0.2.1]"]);
  });
});
