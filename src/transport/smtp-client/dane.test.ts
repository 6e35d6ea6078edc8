import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, test } from "node:test";
import type { TlsaRecord, TlsDemand } from "#model/tls-policy";
import { type OddCertificate, oddCertificate } from "../../../tests/kit/odd-certificate.ts";
import { good, host, issuing, leaf, otherRoot, outcomeOf, root } from "./fixture.test.ts";

/** "usage selector matching" for that certificate. */
function tlsa(shape: string, of: OddCertificate): TlsaRecord {
  const [usage = 0, selector = 0, matching = 0] = shape.split(" ").map(Number);
  const octets = selector === 0 ? of.x509.raw : of.spki;
  const digest = matching === 1 ? "sha256" : "sha512";
  const data = matching === 0 ? octets.toString("hex") : hash(digest, octets, "hex");
  return { usage, selector, matching, data };
}

describe("prove() by DANE (RFC 7672)", () => {
  const dane = (records: readonly TlsaRecord[], names = [host]): Partial<TlsDemand> => ({
    proof: { kind: "dane", records, names },
  });
  const wrong = (record: TlsaRecord): TlsaRecord => ({
    ...record,
    data: record.data.replace(/..$/, "zz"),
  });
  const shapes = [0, 1].flatMap((selector) =>
    [0, 1, 2].map((matching) => `${selector} ${matching}`),
  );
  const untrusted = "certificate-not-trusted";

  for (const shape of shapes) {
    test(`CAP-49 3 ${shape}: the certificate itself, whatever its name and date (§3.1.1)`, async () => {
      const own = oddCertificate({ commonName: "x", dnsNames: ["other.test"], days: -1 });
      const record = tlsa(`3 ${shape}`, own);
      assert.equal(await outcomeOf({ own, above: [] }, dane([record])), "dane");
      assert.equal(await outcomeOf({ own, above: [] }, dane([wrong(record)])), untrusted);
      assert.equal(await outcomeOf({ own, above: [] }, dane([wrong(record), record])), "dane");
      const ofAnother = tlsa(`3 ${shape}`, good);
      assert.equal(await outcomeOf({ own, above: [] }, dane([ofAnother])), untrusted);
    });

    test(`CAP-49 2 ${shape}: an authority that the server shows, and its name (§3.1.2)`, async () => {
      for (const anchor of [issuing, root]) {
        const record = tlsa(`2 ${shape}`, anchor);
        const shows = { own: good, above: [issuing, root] };
        assert.equal(await outcomeOf(shows, dane([record])), `dane ${host}`);
        assert.equal(
          await outcomeOf({ ...shows, above: [root, issuing] }, dane([record])),
          `dane ${host}`,
        );
        assert.equal(
          await outcomeOf(shows, dane([record], ["other.test"])),
          "certificate-host-mismatch",
        );
        assert.equal(await outcomeOf(shows, dane([wrong(record)])), untrusted);
      }
      const own = tlsa(`2 ${shape}`, good);
      assert.equal(await outcomeOf({ own: good }, dane([own])), untrusted, "its own is usage 3");
    });
  }

  test("CAP-49 the anchor need not be shown where the DNS holds all of it (RFC 7671 §5.2)", async () => {
    for (const shape of ["2 0 0", "2 1 0"]) {
      assert.equal(await outcomeOf({ own: good }, dane([tlsa(shape, root)])), `dane ${host}`);
      assert.equal(
        await outcomeOf({ own: good, above: [] }, dane([tlsa(shape, issuing)])),
        `dane ${host}`,
      );
      assert.equal(await outcomeOf({ own: good, above: [] }, dane([tlsa(shape, root)])), untrusted);
      assert.equal(await outcomeOf({ own: good }, dane([tlsa(shape, otherRoot)])), untrusted);
    }
    assert.equal(await outcomeOf({ own: good }, dane([tlsa("2 0 1", root)])), untrusted);
  });

  test("CAP-49 an authority of ours is nothing here, nor are usages 0 and 1 (§3.1.3)", async () => {
    for (const usage of [0, 1, 4, 255]) {
      const records = [good, issuing, root].map((of) => ({ ...tlsa("3 1 1", of), usage }));
      assert.equal(
        await outcomeOf({ own: good, above: [issuing, root] }, dane(records)),
        untrusted,
      );
    }
    assert.equal(await outcomeOf({ own: good }, dane([])), untrusted);
  });

  test("CAP-49 selectors and matching types that nobody knows match nothing", async () => {
    const record = tlsa("3 1 1", good);
    for (const odd of [{ selector: 2 }, { matching: 3 }, { data: "" }, { data: "xyz" }]) {
      assert.equal(await outcomeOf({ own: good }, dane([{ ...record, ...odd }])), untrusted);
    }
    for (const shape of ["2 0 0", "2 1 0"]) {
      const garbage = { ...tlsa(shape, root), data: "3003020101" };
      assert.equal(await outcomeOf({ own: good }, dane([garbage])), untrusted);
    }
  });

  const anchored = async (own: OddCertificate, above: readonly OddCertificate[]): Promise<string> =>
    outcomeOf({ own, above: [...above, root] }, dane([tlsa("2 0 1", root)]));

  test("CAP-49 below the anchor every certificate has to be right (RFC 5280 §6.1)", async () => {
    assert.equal(await anchored(good, [issuing]), `dane ${host}`);
    assert.equal(await anchored(leaf({ days: -1 }), [issuing]), "certificate-expired");
    assert.equal(await anchored(leaf({ startDays: 1 }), [issuing]), "certificate-expired");
    assert.equal(await anchored(leaf({ strange: "critical" }), [issuing]), untrusted);
    assert.equal(
      await anchored(leaf({ extendedUsage: "1.3.6.1.5.5.7.3.2" }), [issuing]),
      untrusted,
    );
    assert.equal(
      await anchored(leaf({ extendedUsage: "1.3.6.1.5.5.7.3.1" }), [issuing]),
      `dane ${host}`,
    );
    assert.equal(await anchored(leaf({ forgedWith: otherRoot.key }), [issuing]), untrusted);
    assert.equal(
      await anchored(leaf({ commonName: host, dnsNames: [] }), [issuing]),
      "certificate-host-mismatch",
    );
    for (const wish of [
      { authority: false },
      { authority: true, keyUsage: 0x80 },
      { authority: true, strange: "name-constraints" },
      { authority: true, forgedWith: otherRoot.key },
    ] as const) {
      const between = oddCertificate({ commonName: "Between", by: root, ...wish });
      assert.equal(
        await anchored(leaf({ by: between }), [between]),
        untrusted,
        JSON.stringify(wish),
      );
    }
    const short = oddCertificate({ commonName: "Short", authority: true, by: root, maxPath: 0 });
    const below = oddCertificate({ commonName: "Below", authority: true, by: short });
    assert.equal(await anchored(leaf({ by: short }), [short]), `dane ${host}`);
    assert.equal(await anchored(leaf({ by: below }), [below, short]), untrusted);
  });

  test("CAP-49 a hundred certificates cost no more than a few", async () => {
    const many = Array.from({ length: 100 }, () => issuing);
    const start = performance.now();
    const shows = { own: leaf({ by: otherRoot }), above: many };
    assert.equal(await outcomeOf(shows, dane([tlsa("2 0 1", root)])), untrusted);
    assert.ok(performance.now() - start < 2000);
  });
});
