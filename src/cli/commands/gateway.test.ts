import assert from "node:assert/strict";
import { test } from "node:test";
import { listText, toldText } from "./gateway.ts";

test("gateway list says whether questions are put off, or answered by an old list", () => {
  const gateway = { name: "old", domains: ["example.org"], takesAny: [] };
  const row = (recipients: string, trouble: string): string =>
    listText([{ ...gateway, recipients, trouble }]);
  assert.equal(row("callout", ""), "old  example.org  callout  no trouble seen");
  assert.match(row("ldap", "no answer in time"), /ldap {2}cannot be asked: no answer in time$/);
  assert.match(row("list", "/l:3: x"), /list {2}goes by what the list said before: \/l:3: x$/);
});

test("gateway ask names an address of ours as ours", () => {
  const told = { gateway: "old", recipients: "callout", answer: "known", trouble: "" } as const;
  const ana = "ana@example.org";
  assert.equal(toldText(ana, told), `${ana}: known (gateway old, recipients callout)`);
  assert.equal(
    toldText(ana, { ...told, here: "account" }),
    `${ana}: known (an account here, which goes before gateway old)`,
  );
});
