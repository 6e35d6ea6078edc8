import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  account,
  directory,
  fixedMaster,
  newDisk,
  openOn,
  rowsOf,
  storeWithAlice,
} from "./fixture.ts";
import { rebuildIndex } from "./rebuild.ts";

const totp = { kind: "totp", id: "a", secret: "quokkasecret" };
const passkey = { kind: "passkey", id: "b", publicKey: "wombatkey" };

test("factors are replaced as a whole, survive a start and a rebuild, and go with the account", async () => {
  const folder = mkdtempSync(join(tmpdir(), "postern-index-"));
  const indexPath = join(folder, "index.sqlite");
  const disk = newDisk();
  const store = await storeWithAlice(disk, { indexPath });
  assert.equal(await store.factors.put(account, [totp], "test"), true);
  assert.equal(await store.factors.put(account, [totp, passkey], "test"), true);
  assert.equal(await store.factors.put("nobody", [totp], "test"), false);
  const bob = { id: "bob", address: "bob@example.org", displayName: "Bob", createdAtMs: 1 };
  await store.people.putAccount(bob, "test");
  await store.factors.put("bob", [totp], "test");
  await store.people.removeAccount("bob", "test");
  assert.deepEqual(await store.factors.all(), [{ account, factors: [totp, passkey] }]);
  await store[Symbol.asyncDispose]();

  const rows = rowsOf(indexPath);
  await rebuildIndex(disk.kill(), directory, indexPath, fixedMaster);
  assert.deepEqual(rowsOf(indexPath), rows);
  for (const name of readdirSync(folder)) {
    const octets = readFileSync(join(folder, name));
    assert.ok(!octets.includes("quokka") && !octets.includes("wombat"), `${name} shows none`);
  }
  const again = await openOn(disk.kill(), { indexPath });
  assert.deepEqual(await again.factors.all(), [{ account, factors: [totp, passkey] }]);
  await again.factors.put(account, [], "test");
  assert.deepEqual(await again.factors.all(), []);
  await again[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});
