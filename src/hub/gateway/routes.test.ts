import assert from "node:assert/strict";
import { test } from "node:test";
import { Hono } from "hono";
import { type GatewayRoutePorts, gatewayRoutes } from "./routes.ts";

test("an account or alias here is told as such, and the server inside is not asked for it", async () => {
  const asked: string[] = [];
  const state = { name: "old", recipients: "callout", trouble: "" };
  const ports = {
    gateways: {
      states: () => [{ ...state, domains: ["example.org"] }],
      async askAnew(address: string) {
        asked.push(address);
        return { gateway: "old", recipients: "callout", answer: "unknown", trouble: "" };
      },
    },
    directory: {
      accounts: () => [{ address: "Ana@example.org" }],
      aliases: () => [{ address: "reports@example.org" }],
    },
  };
  const app = new Hono();
  gatewayRoutes(app, ports as unknown as GatewayRoutePorts);
  const ask = async (address: string): Promise<unknown[]> => {
    const body = JSON.stringify({ address });
    const response = await app.request("/gateways/ask", { method: "POST", body });
    const { answer, here } = (await response.json()) as { answer: string; here?: string };
    return [answer, here];
  };
  assert.deepEqual(await ask("ana@EXAMPLE.org"), ["known", "account"]);
  assert.deepEqual(await ask("reports@example.org"), ["known", "alias"]);
  assert.deepEqual(asked, []);
  assert.deepEqual(await ask("bo@example.org"), ["unknown", undefined]);
  assert.deepEqual(asked, ["bo@example.org"]);
});
