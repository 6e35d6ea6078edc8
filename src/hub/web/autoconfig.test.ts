import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { answerAnonymous, type MailServices } from "./autoconfig.ts";

const services: MailServices = {
  hostname: "mail.example.org",
  domain: "example.org",
  isOurDomain: (domain) => domain === "example.org" || domain === "other.example",
  ports: { imaps: 993, submissions: 465 },
};
const get = (target: string) => answerAnonymous({ method: "GET", target, body: "" }, services);
const mozilla = "/.well-known/autoconfig/mail/config-v1.1.xml";
const schema = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";
const asked = (address: string, wanted = schema): string =>
  `<?xml version="1.0"?><Autodiscover><Request><EMailAddress>${address}</EMailAddress>` +
  `<AcceptableResponseSchema>${wanted}</AcceptableResponseSchema></Request></Autodiscover>`;
const post = (body: string, target = "/autodiscover/autodiscover.xml") =>
  answerAnonymous({ method: "POST", target, body }, services);

describe("CAP-22 answerAnonymous()", () => {
  test("tells Mozilla's clients both servers, TLS from the first octet", () => {
    const answer = get(`${mozilla}?emailaddress=ana%40example.org`);
    assert.equal(answer?.status, 200);
    for (const part of ["<port>993</port>", "<port>465</port>", "<socketType>SSL</socketType>"]) {
      assert.ok(answer?.body.includes(part), part);
    }
    assert.ok(!answer?.body.includes("pop3"), "what is not offered is not named");
  });

  test("answers for its own domain when nobody is named, and not for others", () => {
    assert.equal(get("/mail/config-v1.1.xml")?.status, 200);
    assert.equal(get(`${mozilla}?emailaddress=x%40foreign.example`)?.status, 404);
    assert.equal(get(`${mozilla}?emailaddress=nobody`)?.status, 404);
  });

  test("tells Outlook, however the path is written", () => {
    const answer = post(asked("ana@example.org"), "/Autodiscover/Autodiscover.xml");
    assert.ok(answer?.body.includes("<LoginName>ana@example.org</LoginName>"));
    assert.ok(answer?.body.includes("<Type>IMAP</Type>"));
    assert.ok(answer?.body.includes("<SSL>on</SSL>"));
  });

  test("refuses what is no request of Autodiscover, by its own numbers", () => {
    assert.match(post("")?.body ?? "", /<ErrorCode>600</);
    assert.match(post(asked("a@example.org", "mobilesync"))?.body ?? "", /<ErrorCode>601</);
    assert.match(post(asked("a@foreign.example"))?.body ?? "", /<ErrorCode>500</);
    assert.match(post(asked("<b>@example.org"))?.body ?? "", /<ErrorCode>600</);
    assert.match(post(asked("&x;@example.org"))?.body ?? "", /<ErrorCode>600</);
    assert.equal(post("x".repeat(9000))?.status, 413);
  });

  test("leads to the page that changes a password", () => {
    const answer = get("/.well-known/change-password");
    assert.deepEqual([answer?.status, answer?.headers[0]?.[0]], [302, "location"]);
    assert.match(answer?.headers[0]?.[1] ?? "", /^\/mail\//);
  });

  test("knows nothing else", () => {
    assert.equal(get("/mail/"), undefined);
    assert.equal(get("/autodiscover/autodiscover.xml"), undefined);
    assert.equal(post("", mozilla), undefined);
  });
});

test("W11 every address of a domain of ours gets the same answer", () => {
  const bare = (address: string): string =>
    (post(asked(address))?.body ?? "").replaceAll(address, "WHO");
  const known = bare("ana@example.org");
  for (const address of ["nobody@example.org", "a.b+c@example.org", "root@example.org"]) {
    assert.equal(bare(address), known);
    const target = `${mozilla}?emailaddress=${encodeURIComponent(address)}`;
    assert.equal(get(target)?.body, get(mozilla)?.body);
  }
});

test("answerAnonymous() takes any body without a throw, and reflects no markup", () => {
  const random = seededRandom(20261122);
  const parts = [
    "<EMailAddress>",
    "</EMailAddress>",
    "a@example.org",
    "<",
    "&lt;",
    "\u0000",
    schema,
  ];
  parts.push("<AcceptableResponseSchema>", "</AcceptableResponseSchema>", '"', "<script>");
  for (let run = 0; run < 5000; run += 1) {
    let body = "";
    for (let at = pick(random, 12); at >= 0; at -= 1) body += parts[pick(random, parts.length)];
    assert.ok(!post(body)?.body.includes("<script>"), body);
  }
});
