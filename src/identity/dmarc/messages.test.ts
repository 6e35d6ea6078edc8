/** The messages of authheaders with the records of its own test; its verdicts follow RFC 7489. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { parseHeader } from "#formats/message";
import { readAuthor } from "#identity/author";
import { checkDmarc } from "#identity/dmarc";
import type { DkimVerdict, DmarcVerdict } from "#model/verdict";
import { zoneResolver } from "../../../tests/kit/fake-dns.ts";

const folder = new URL("../../../tests/conformance/dmarc/", import.meta.url);

const resolver = zoneResolver({
  "_dmarc.example.com": [
    {
      TXT: "v=DMARC1; p=reject; rua=mailto:dmarc.reports@valimail.com,mailto:dmarc_agg@vali.email",
    },
  ],
  "_dmarc.example.org": [{ TXT: "v=DMARC1; p=none" }],
  "_dmarc.example.net": [{ TXT: "v=DMARC1; p=none; sp=reject" }],
  "_dmarc.example.biz": [{ TXT: "v=DMARC1; p=none; sp=quarantine; np=reject" }],
  "_dmarc.nop.example.org": [{ TXT: "v=DMARC1; sp=quarantine; np=reject" }],
  "sub2.example.biz": [{ A: "192.0.2.2" }],
});

interface Expected {
  /** d= of signatures, as the test of authheaders gives them or finds them. */
  readonly passed?: string;
  readonly result: DmarcVerdict["result"];
  readonly policy?: DmarcVerdict["policy"];
  readonly policyDomain?: string;
  /** What authheaders says where we say something else, and why we do. */
  readonly differs?: string;
}

const several = "fail for the first domain; two authors cannot be validated (RFC 9989 §5.3.1)";
const expected: Readonly<Record<string, Expected>> = {
  "test.message": { result: "fail", policy: "reject", policyDomain: "example.com" },
  "test.message_signed": { passed: "example.com", result: "pass", policyDomain: "example.com" },
  "test.message_multi": { passed: "example.org", result: "permerror", differs: several },
  "test.message_multi2": { passed: "example.org", result: "permerror", differs: several },
  "test.message_sub": { result: "fail", policy: "reject", policyDomain: "example.net" },
  "test.message_np1": { result: "fail", policy: "reject", policyDomain: "example.biz" },
  "test.message_np2": { result: "fail", policy: "quarantine", policyDomain: "example.biz" },
  "testcomma.message": { passed: "example.com", result: "pass", policyDomain: "example.com" },
  "test_nop.message": { result: "none", policyDomain: "nop.example.org" },
};

describe("messages of authheaders", () => {
  for (const [name, { passed, result, policy, policyDomain }] of Object.entries(expected)) {
    test(name, async () => {
      const header = parseHeader(readFileSync(new URL(name, folder)));
      const dkim = passed === undefined ? [] : [{ result: "pass", domain: passed } as DkimVerdict];
      const question = { author: readAuthor(header), spf: undefined, dkim };
      const verdict = await checkDmarc(question, resolver);
      assert.equal(verdict.result, result, verdict.why);
      assert.equal(verdict.policyDomain, policyDomain);
      if (policy !== undefined) assert.equal(verdict.policy, policy);
    });
  }

  test("each file is a case", () => {
    const messages = readdirSync(folder).filter((name) => name.includes("message"));
    assert.deepEqual(messages.toSorted(), Object.keys(expected).toSorted());
  });
});
