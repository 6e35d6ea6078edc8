import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startInstallation } from "../kit/installation.ts";
import { allPrograms, killAll, killStorm, untilHealthy } from "../kit/kill-storm.ts";
import { mailboxMarkers } from "../kit/mailbox-markers.ts";
import { plainMessage, sendMail } from "../kit/smtp-dialogue.ts";

/** The long form: node tests/kit/kill-storm.ts --kills 1000 */
describe("kill -9 of every program under load (D7)", () => {
  for (const spool of ["reject", "sealed"]) {
    test(`keeps whatever was acknowledged, exactly once (spool = "${spool}")`, async () => {
      const result = await killStorm({
        kills: 5,
        programs: allPrograms,
        seed: 7,
        senders: 3,
        pauseMs: 1500,
        config: `[link]\nspool = "${spool}"\nspoolMib = 32\n`,
      });
      assert.deepEqual([result.lost, result.doubled, result.damaged], [[], [], []]);
      assert.equal(result.kills, 20);
      assert.ok(result.acknowledged > 20, `only ${result.acknowledged} were acknowledged`);
    });
  }

  test("all programs at the same moment, five times: everything comes back", async () => {
    await using installation = await startInstallation();
    const { smtp, accounts } = installation.ready();
    const to = accounts[0]?.address ?? "";
    const markers = Array.from({ length: 5 }, (_, nth) => `together-${nth}@storm.example`);
    for (const marker of markers) {
      const octets = plainMessage({ from: "a@localhost", to, marker, body: marker });
      // A link may be down once more just then: 451, and a sender tries again.
      let reply = await sendMail(smtp, { from: "a@localhost", to: [to], octets });
      for (let tries = 0; tries < 40 && reply?.startsWith("451") === true; tries += 1) {
        await new Promise((resolve) => setTimeout(resolve, 250));
        reply = await sendMail(smtp, { from: "a@localhost", to: [to], octets });
      }
      assert.match(reply ?? "", /^250/);
      await killAll(installation);
      await untilHealthy(installation);
    }
    const { exitCode, signalCode } = installation.supervisor;
    assert.deepEqual([exitCode, signalCode], [null, null], "postern up is still there");
    const found = await mailboxMarkers(installation.ready(), 0, () => true);
    assert.deepEqual([...found.keys()].sort(), markers);
    assert.ok([...found.values()].every(({ count }) => count === 1));
    assert.equal(await installation.stop(), 0);
  });
});
