import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type AdminPorts, adminRoutes } from "./admin.ts";

describe("adminRoutes()", () => {
  test("a new password ends the web sessions that the old one began", async () => {
    const signedOut: string[] = [];
    let ok = true;
    const ports = {
      directory: {
        setPassword: async () => (ok ? { ok, value: true } : { ok, fault: "weak-password" }),
      },
      store: {},
      events: { adminActed() {} },
      signOut: (address: string) => signedOut.push(address),
    };
    const app = adminRoutes(ports as unknown as AdminPorts, "test");
    const put = (): Promise<Response> =>
      Promise.resolve(
        app.request("/accounts/ana%40example.org/password", {
          method: "PUT",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ password: "another long password" }),
        }),
      );
    assert.equal((await put()).status, 200);
    assert.deepEqual(signedOut, ["ana@example.org"]);
    ok = false;
    assert.equal((await put()).status, 409);
    assert.equal(signedOut.length, 1);
  });

  test("says what an administrator can do about a refusal", async () => {
    const faults = ["weak-password", "in-use", "no-such-target", "loop"];
    const refuse = async (): Promise<object> => ({ ok: false, fault: faults.shift() });
    const directory = { addAccount: refuse, removeDomain: refuse, addAlias: refuse };
    const others = { store: {}, settings: { domain: "first.example" }, gateways: { domains: [] } };
    const app = adminRoutes(
      { directory: { ...directory, minPasswordLength: 12 }, ...others } as unknown as AdminPorts,
      "test",
    );
    const said = async (method: string, path: string, body?: object): Promise<unknown> => {
      const given = body === undefined ? null : JSON.stringify(body);
      const reply = await app.request(path, { method, body: given });
      assert.equal(reply.status, 409);
      return ((await reply.json()) as { error?: unknown }).error;
    };
    const account = { address: "ana@example.org", password: "short" };
    const alias = { address: "team@example.org", targets: ["ana@example.org"] };
    assert.match(String(await said("POST", "/accounts", account)), /12 characters at least/);
    assert.match(String(await said("DELETE", "/domains/example.org")), /account or an alias/);
    assert.match(String(await said("POST", "/aliases", alias)), /leads to nobody/);
    assert.match(String(await said("POST", "/aliases", alias)), /leads back/);
  });

  test("a domain that the configuration names is not removed: the next start would add it again", async () => {
    const removed: string[] = [];
    const ports = {
      directory: {
        async removeDomain(name: string) {
          removed.push(name);
          return { ok: true, value: true };
        },
      },
      store: {},
      settings: { domain: "example.org" },
      gateways: { domains: ["old.example"] },
      events: { adminActed() {} },
    };
    const app = adminRoutes(ports as unknown as AdminPorts, "test");
    const remove = async (name: string): Promise<string> => {
      const reply = await app.request(`/domains/${name}`, { method: "DELETE" });
      return `${reply.status} ${await reply.text()}`;
    };
    assert.match(await remove("Example.org"), /^409 .*name another in site\.domain, start/);
    assert.match(await remove("old.example"), /^409 .*\[gateway\.NAME\] .* take it out there/);
    assert.deepEqual(removed, []);
    assert.match(await remove("other.example"), /^200/);
    assert.deepEqual(removed, ["other.example"]);
  });
});
