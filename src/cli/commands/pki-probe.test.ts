import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import { testAuthority } from "../../../tests/kit/authority.ts";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { judgeChain } from "./pki-probe.ts";

const authority = testAuthority();
const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const read = (pem: string): X509Certificate[] =>
  pem
    .split(/(?<=-----END CERTIFICATE-----\n)/)
    .filter((one) => one.includes("BEGIN"))
    .map((one) => new X509Certificate(one));
const roots = read(authority.rootPem);
const names = ["mail.example"];
const good = authority.chain({ names, publicKey });
const dayMs = 86_400_000;
const nowMs = Date.now();

describe("judgeChain()", () => {
  test("CAP-37 trusts a chain that ends at a root, sent or not", () => {
    for (const sent of [good, good + authority.rootPem]) {
      const judged = judgeChain(read(sent), "mail.example", roots);
      assert.deepEqual([judged.trusted, judged.because], [true, 'ends at "Test root"']);
    }
  });

  const early = authority.chain({ names, publicKey, fromMs: nowMs + dayMs });
  const old = authority.chain({ names, publicKey, fromMs: nowMs - 9 * dayMs, days: 8 });
  const other = testAuthority();
  const mixed = authority.issue({ names, publicKey }) + other.intermediatePem;
  const cases: readonly (readonly [string, string, readonly X509Certificate[], RegExp])[] = [
    [
      "its root is unknown",
      good,
      [],
      /element 2 of 2, "Test intermediate", is signed by "Test root", which was not sent and is no trusted root/,
    ],
    [
      "its root is sent and unknown",
      good + authority.rootPem,
      [],
      /element 3 of 3, "Test root", is a root that is not trusted here/,
    ],
    [
      "the intermediate is missing",
      authority.issue({ names, publicKey }),
      roots,
      /element 1 of 1, "mail.example", is signed by "Test intermediate", which was not sent/,
    ],
    [
      "another intermediate of that name",
      mixed,
      roots,
      /element 1 of 2, "mail.example", is not signed by the next one/,
    ],
    [
      "it is for another name",
      authority.chain({ names: ["other.example"], publicKey }),
      roots,
      /element 1 of 2, "other.example", is not for mail.example/,
    ],
    ["it expired", old, roots, /element 1 of 2, "mail.example", expired 20/],
    ["it is too early", early, roots, /element 1 of 2, "mail.example", is not valid yet/],
    [
      "it signs itself",
      selfSigned("mail.example").cert,
      roots,
      /element 1 of 1, "mail.example", signs itself/,
    ],
    ["nothing is sent", "", roots, /no certificate/],
  ];
  for (const [what, sent, anchors, wanted] of cases) {
    test(`CAP-37 says which element is not trusted: ${what}`, () => {
      const judged = judgeChain(read(sent), "mail.example", anchors);
      assert.equal(judged.trusted, false);
      assert.match(judged.because, wanted);
    });
  }
});
