import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { adminApp, type ConsolePorts, consoleApp } from "./console.ts";

const trace = {
  ...{ id: "ab12", direction: "inbound", status: "delivered", atMs: 0, from: "<b>@x.example" },
  ...{ to: ["ana@example.org"], sizeBytes: 5, steps: [] },
};
const ports = {
  token: "right",
  store: { traces: { show: async (id: string) => (id === "ab12" ? trace : undefined) } },
} as unknown as ConsolePorts;
const withToken = { headers: { authorization: "Bearer right", host: "localhost" } };

describe("the console", () => {
  test("shows one message's story as a page, escaped, and only with the token", async () => {
    const app = consoleApp(ports);
    const shown = await app.request("/trace/ab12", withToken);
    assert.equal(shown.status, 200);
    const text = await shown.text();
    assert.match(text, /&lt;b&gt;@x\.example/);
    assert.doesNotMatch(text, /<b>@/);
    const refused = await app.request("/trace/ab12", { headers: { host: "localhost" } });
    assert.equal(refused.status, 401);
  });

  test("what is not there is said in JSON at both doors", async () => {
    const asked = [
      await consoleApp(ports).request("/api/trace/none", withToken),
      await consoleApp(ports).request("/trace/none", withToken),
      await adminApp(ports, "right").request("/trace/none", withToken),
      await adminApp(ports, "right").request("/nothing", withToken),
    ];
    for (const reply of asked) {
      assert.equal(reply.status, 404);
      assert.deepEqual(await reply.json(), { error: "no such thing" });
    }
  });
});
