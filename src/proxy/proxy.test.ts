import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { parseForm } from "./form.ts";
import { errorPage, loginPage, pagePolicy } from "./pages.ts";
import { type RuleSetName, ruleSets } from "./rule-sets.ts";

const plain = {
  formToken: "t",
  returnPath: "/mail/",
  host: "mail.example",
  offer: { passkeys: false },
};

describe("pages", () => {
  test("text that was typed comes back as text", () => {
    const page = loginPage({ ...plain, name: '"><script>alert(1)</script>' });
    assert.ok(!page.includes("<script"));
  });

  test("the policy allows exactly the style that is in the page", () => {
    for (const page of [loginPage(plain), errorPage(503)]) {
      const style = /<style>([\s\S]*?)<\/style>/.exec(page)?.[1] ?? "";
      const hash = createHash("sha256").update(style).digest("base64");
      assert.ok(pagePolicy.includes(`'sha256-${hash}'`));
      assert.ok(!/\sstyle=|<script|\son[a-z]+=/.test(page), "nothing the policy would refuse");
    }
  });
});

test("parseForm() takes each field once", () => {
  const read = parseForm("name=a%40b&password=x+y%26z");
  assert.ok(read.ok);
  assert.deepEqual(
    [...read.value],
    [
      ["name", "a@b"],
      ["password", "x y&z"],
    ],
  );
  assert.equal(parseForm("a=1&a=2").ok, false);
  assert.equal(parseForm("a=%zz").ok, false);
  assert.equal(parseForm("&".repeat(40)).ok, false);
});

test("CAP-22 the sets of Exchange wait as long as its clients do", () => {
  const waits = (name: RuleSetName): readonly (number | undefined)[] =>
    ruleSets[name].rules("/").map(({ answerTimeoutMs }) => answerTimeoutMs);
  assert.deepEqual(waits("exchange-activesync"), [3_600_000]); // above 59 minutes
  assert.deepEqual(waits("exchange-ews"), [1_920_000]); // above 30
  assert.deepEqual(waits("exchange-owa"), [undefined, undefined]);
});
