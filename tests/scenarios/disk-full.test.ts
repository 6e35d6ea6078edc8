import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type Installation, startInstallation } from "../kit/installation.ts";
import { mailboxMarkers } from "../kit/mailbox-markers.ts";
import { plainMessage, sendMail } from "../kit/smtp-dialogue.ts";

let data = "";
let store = "";
let installation: Installation | undefined;

/** A disk of its own for the store; false where this machine does not let us. */
function mountSmallDisk(): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=640m", "postern-test", store], {
      stdio: "ignore",
    });
    return true;
  } catch {
    return false;
  }
}

before(async () => {
  data = mkdtempSync(join(tmpdir(), "postern-full-"));
  store = join(data, "hub/store");
  mkdirSync(store, { recursive: true, mode: 0o700 });
  if (mountSmallDisk()) installation = await startInstallation({ data });
});

after(async () => {
  await installation?.[Symbol.asyncDispose]();
  if (installation !== undefined) execFileSync("umount", [store]);
  rmSync(data, { recursive: true, force: true });
});

describe("a full disk", () => {
  test("is answered with 452, loses nothing, and is over as soon as there is room (D10)", async (t) => {
    if (installation === undefined)
      return t.skip("mounting needs root and a kernel that allows it");
    const ready = installation.ready();
    const to = ready.accounts[0]?.address ?? "";
    const body = `${"x".repeat(76)}\r\n`.repeat(12_000);
    const send = async (marker: string): Promise<string> => {
      const octets = plainMessage({ from: "a@localhost", to, marker, body });
      return (await sendMail(ready.smtp, { from: "a@localhost", to: [to], octets })) ?? "broken";
    };
    const kept: string[] = [];
    /** Until the third refusal in a row: the last pages of a disk come in ever shorter segments. */
    const fill = async (): Promise<string[]> => {
      let refusals: string[] = [];
      for (let nth = 0; nth < 500 && refusals.length < 3; nth += 1) {
        const marker = `before${nth}@x`;
        const reply = await send(marker);
        if (!reply.startsWith("250")) refusals.push(reply);
        else {
          kept.push(marker);
          refusals = [];
        }
      }
      return refusals;
    };
    const filler = join(store, "filler");
    writeFileSync(filler, Buffer.alloc(150 * 1024 * 1024));
    const refusals = await fill();
    assert.equal(refusals.length, 3, "the disk never became full");
    for (const reply of refusals) assert.match(reply, /^452 4\.3\.1 /);
    const { pids } = installation.ready();
    rmSync(filler);
    for (let attempt = 0; ; attempt += 1) {
      if ((await send(`after${attempt}@x`)).startsWith("250")) {
        kept.push(`after${attempt}@x`);
        break;
      }
      assert.ok(attempt < 100, "it did not recover");
      await pause(100);
    }
    assert.deepEqual(installation.ready().pids, pids, "it recovered only by a restart");
    const found = await mailboxMarkers(installation.ready(), 0, () => true);
    assert.deepEqual([...found.keys()].toSorted(), kept.toSorted());
  });
});
