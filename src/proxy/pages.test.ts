import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { pageStyle } from "./page-style.ts";
import {
  errorPage,
  leavingPage,
  linkedNotice,
  loginAddress,
  loginPage,
  pagePolicy,
  passkeyPagePolicy,
  returnPathIn,
  secondFactorPage,
} from "./pages.ts";

const evil = `"><script>alert(1)</script>'&`;
const step = { formToken: "token", returnPath: "/mail/", host: "mail.example" };
const statuses = [400, 403, 404, 405, 408, 411, 413, 414, 417, 421, 429, 431, 502, 503, 504, 505];
const pages: readonly (readonly [name: string, page: string])[] = [
  ["form", loginPage({ ...step, offer: { passkeys: false } })],
  [
    "refused",
    loginPage({
      ...{ ...step, returnPath: evil, name: evil, notice: "refused" },
      offer: { passkeys: true, oidcLabel: evil },
    }),
  ],
  ["second factor", secondFactorPage({ ...step, pending: evil, factors: ["code", "passkey"] })],
  ["wrong code", secondFactorPage({ ...step, pending: "p", factors: ["code"], notice: "code" })],
  ["leaving", leavingPage(new URL("https://op.example/?a=1&b='"), "mail.example")],
  ...statuses.map((status) => [`error ${status}`, errorPage(status)] as const),
];

describe("the front's own pages", () => {
  test("each has a language, a title, one heading, a main part, and no script of its own", () => {
    for (const [name, page] of pages) {
      assert.match(page, /^<!doctype html>\n<html lang="en">/, name);
      assert.match(page, /<title>[^<]+ · Postern<\/title>/, name);
      assert.equal(page.split("<h1>").length, 2, name);
      assert.equal(page.split("<main>").length, 2, name);
      assert.ok(!/<script(?! src="\/login\/passkey\.js" defer>)/.test(page), name);
      assert.ok(!/ style=| on[a-z]+=/.test(page), name);
    }
  });

  test("W15 what somebody sent stays text", () => {
    for (const [name, page] of pages) assert.ok(!page.includes("alert(1)</"), name);
  });

  test("every field has a label, and a refused one points at the reason", () => {
    for (const [name, page] of pages) {
      const fields = page.match(/<input id="[^"]+"/g) ?? [];
      for (const field of fields) {
        const id = /id="([^"]+)"/.exec(field)?.[1] ?? "";
        assert.ok(page.includes(`<label for="${id}">`), `${name}: ${id}`);
      }
      for (const [, ids] of page.matchAll(/aria-describedby="([^"]+)"/g)) {
        for (const id of (ids ?? "").split(" ")) assert.ok(page.includes(`id="${id}"`), name);
      }
    }
  });

  test("each error says what it means and what to do, in words of its own", () => {
    const texts = statuses.map((status) => /<p class="soft">([^<]+)</.exec(errorPage(status))?.[1]);
    for (const text of texts) assert.ok((text ?? "").length > 20);
    assert.match(errorPage(599), /Something went wrong/);
  });

  test("the policy allows the one style, no script, no frame, and forms to this host only", () => {
    const hash = createHash("sha256").update(pageStyle).digest("base64");
    assert.ok(pagePolicy.includes(`style-src 'sha256-${hash}'`));
    assert.ok(!pagePolicy.includes("script-src"));
    const scripted = passkeyPagePolicy("mail.example:8443");
    assert.match(scripted, /script-src https:\/\/mail\.example:8443\/login\/passkey\.js;/);
    for (const policy of [pagePolicy, scripted]) {
      assert.match(policy, /^default-src 'none';/);
      assert.match(policy, /form-action 'self'; frame-ancestors 'none'; base-uri 'none'$/);
    }
  });

  test("text has a contrast of 4.5 to what lies behind it, in light and dark (WCAG 2.2 §1.4.3)", () => {
    const [, light = "", dark = ""] = pageStyle.split(":root{");
    for (const tokens of [light, dark].map(readTokens)) {
      const pairs = [
        ...["text", "soft", "accent", "danger"].map((front) => [front, "card"]),
        ...["text", "soft"].map((front) => [front, "page"]),
        ...[
          ["on-accent", "accent"],
          ["text", "field"],
          ["text", "hover"],
        ],
        ...[
          ["text", "danger-soft"],
          ["text", "info-soft"],
        ],
      ];
      for (const [front = "", back = ""] of pairs) {
        const ratio = contrast(tokens.get(front) ?? "", tokens.get(back) ?? "");
        assert.ok(ratio >= 4.5, `${front} on ${back}: ${ratio.toFixed(2)}`);
      }
      // §1.4.11: what shows where a field is.
      assert.ok(contrast(tokens.get("edge") ?? "", tokens.get("card") ?? "") >= 3);
    }
  });
});

describe("loginAddress()", () => {
  test("carries a way back as it is, and one with escapes without escaping them again", () => {
    assert.equal(loginAddress("/mail/"), "/login?return=%2Fmail%2F");
    assert.equal(loginAddress("/mail/", "ended"), "/login?return=%2Fmail%2F&why=ended");
    const escaped = "/owa/%F0%9F%93%AC?a=%26";
    const address = loginAddress(escaped, "ended");
    assert.ok(!address.includes("%25"));
    assert.equal(returnPathIn(new URLSearchParams(address.slice("/login?".length))), escaped);
    assert.equal(returnPathIn(new URLSearchParams()), null);
  });

  test("a link picks its words from two, and brings none along", () => {
    assert.equal(linkedNotice("ended"), "ended");
    assert.equal(linkedNotice("signed-out"), "signed-out");
    for (const text of ["refused", "busy", "constructor", "", undefined]) {
      assert.equal(linkedNotice(text), undefined);
    }
  });
});

function readTokens(style: string): ReadonlyMap<string, string> {
  const block = style.slice(0, style.indexOf("}"));
  return new Map(
    [...block.matchAll(/--([a-z-]+):(#[0-9a-f]+)/g)].map(([, name, value]) => [
      name ?? "",
      value ?? "",
    ]),
  );
}

/** WCAG 2.2, "contrast ratio". */
function contrast(one: string, other: string): number {
  const [darker = 0, lighter = 0] = [one, other].map(luminance).sort((left, right) => left - right);
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance(colour: string): number {
  const digits = colour.slice(1);
  const wide =
    digits.length === 3 ? digits.split("").map((one) => one + one) : (digits.match(/../g) ?? []);
  const [red = 0, green = 0, blue = 0] = wide.map((pair) => {
    const share = Number.parseInt(pair, 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
