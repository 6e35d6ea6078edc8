import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { systemRandom } from "#base/random";
import { noS3Server, type S3Server, startS3Server } from "../../../tests/kit/s3-server.ts";
import { acceptMail, mail, messageId, openOn, storeWithAlice } from "../fixture.ts";
import { drillBackup } from "./drill.ts";
import { backUp, memorySandbox, pair, restoredTo } from "./fixture.test.ts";
import { prune } from "./prune.ts";
import { S3Client } from "./s3/client.ts";
import { usualLimits } from "./s3/target.ts";
import { targetOf } from "./target-of.ts";
import { verifyBackup } from "./verify.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-s3-way-"));
let server: S3Server | undefined;

before(async () => {
  if (noS3Server === false) server = await startS3Server();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

describe("the way of a backup over S3", { skip: noS3Server }, () => {
  test("is made, goes on, is checked, tried out, thinned out and restored", async () => {
    assert.ok(server);
    const { endpoint, region, accessKeyId, secretAccessKey } = server;
    const client = new S3Client(
      { ...server, bucket: "mail" },
      usualLimits,
      systemClock,
      systemRandom,
    );
    await client.ask({ method: "PUT" }, [200, 409]);
    const credentialsFile = join(folder, "s3.ini");
    writeFileSync(
      credentialsFile,
      `[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`,
    );
    const target = targetOf({
      ...{ endpoint, region, credentialsFile },
      target: "s3://mail/hub",
      caFile: "",
    });

    const store = await storeWithAlice();
    for (let number = 1; number <= 120; number += 1) {
      await acceptMail(store, number, mail(`m ${number}`, 9000));
    }
    const one = await backUp(store, target);
    await acceptMail(store, 121);
    const two = await backUp(store, target);
    assert.equal(two.previous, one.name);
    assert.ok(two.newBytes < one.newBytes / 3);
    await store[Symbol.asyncDispose]();

    const pruned = await prune(target, { days: 0, count: 1 }, Date.now() + 3 * 86_400_000);
    assert.ok(pruned.ok && pruned.value.removedManifests === 1 && pruned.value.kept === 1);
    const { faults, inside } = await verifyBackup({ target, name: two.name, own: pair.own });
    assert.deepEqual([faults, inside?.records], [[], two.lsn]);
    const parts = { target, name: two.name, own: pair.own, sandbox: memorySandbox() };
    const drilled = await drillBackup({ ...parts, random: systemRandom, messages: 1000 });
    assert.ok(drilled.ok && drilled.messages === 121, JSON.stringify(drilled));
    const copy = await openOn(await restoredTo(target, two.name));
    assert.match((await copy.messages.read(messageId(121))).toString(), /mail 121/);
    await copy[Symbol.asyncDispose]();
  });
});
