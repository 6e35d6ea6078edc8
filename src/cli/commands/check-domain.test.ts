import assert from "node:assert/strict";
import { test } from "node:test";
import { zoneResolver } from "../../../tests/kit/fake-dns.ts";
import { checkDomain } from "../dns-domain.ts";
import { findingsText, forItsOwner } from "./check-domain.ts";

test("a domain of strangers gets no advice to make records here", async () => {
  const findings = await checkDomain("partner.example", ["s"], zoneResolver({}));
  const ours = findingsText("partner.example", findings, false);
  assert.match(ours, /postern dns show partner\.example/);
  assert.match(ours, /postern spf wizard partner\.example/);
  const theirs = findingsText("partner.example", forItsOwner(findings), true);
  assert.doesNotMatch(theirs, /postern (?:dns|spf)/);
  assert.match(theirs, /^What the world sees of partner\.example, which is not ours: /);
  assert.match(theirs, /BAD +MX +partner\.example has no MX record/);
  assert.match(theirs, /Do: publish _dmarc\.partner\.example/);
});
