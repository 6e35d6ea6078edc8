import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ImapFlow } from "imapflow";
import { type Installation, startInstallation } from "../kit/installation.ts";

let installation: Installation;
before(async () => {
  installation = await startInstallation();
});
after(() => installation?.[Symbol.asyncDispose]());

async function enters(address: string, password: string): Promise<boolean> {
  const { imap } = installation.ready();
  const client = new ImapFlow({
    ...{ host: imap.host, port: imap.port, secure: true, logger: false },
    auth: { user: address, pass: password },
    tls: { rejectUnauthorized: false },
  });
  try {
    await client.connect();
    await client.logout();
    return true;
  } catch {
    return false;
  }
}

async function said<Value>(...args: string[]): Promise<Value> {
  const { code, stdout, stderr } = await installation.cli("--json", "account", ...args);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Value;
}

describe("factors of accounts, by an administrator", () => {
  test("an app password enters by IMAP, outlives a restart of the hub, and ends when taken away", async () => {
    const [ana] = installation.ready().accounts;
    assert.ok(ana);
    const { address } = ana;
    const { id, password } = await said<{ id: string; password: string }>(
      ...["app-password", address, "phone"],
    );
    assert.ok(await enters(address, password));
    const { hub } = installation.ready().pids;
    process.kill(hub, "SIGKILL");
    for (let round = 0; round < 100 && installation.ready().pids.hub === hub; round += 1) {
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assert.ok(await untilTrue(() => enters(address, password)), "after the restart");
    const listed = await said<{ id: string; kind: string; name: string }[]>("factors", address);
    assert.deepEqual(
      listed.map(({ id: listedId, kind, name }) => [listedId, kind, name]),
      [[id, "app-password", "phone"]],
    );
    assert.ok(!JSON.stringify(listed).includes(password));
    await said("factors", address, "--remove", id);
    assert.equal(await enters(address, password), false);
    assert.ok(await enters(address, ana.password), "the password itself still does");
  });

  test("what is not there is said so", async () => {
    const [ana] = installation.ready().accounts;
    const address = ana?.address ?? "";
    assert.deepEqual(await said("sessions", address), []);
    const gone = await installation.cli("account", "sessions", address, "--end", "none");
    assert.match(gone.stderr, /has no session none/);
    const nobody = await installation.cli("account", "factors", "nobody@example.org");
    assert.match(nobody.stderr, /no such account/);
    const both = await installation.cli("account", "factors", address, "--reset", "--remove", "x");
    assert.equal(both.code, 64);
  });
});

async function untilTrue(ask: () => Promise<boolean>): Promise<boolean> {
  const deadlineMs = Date.now() + 90_000;
  while (Date.now() < deadlineMs) {
    if (await ask()) return true;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return false;
}
