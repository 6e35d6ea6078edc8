import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { domainToASCII } from "node:url";
import type { Browser, Page } from "playwright-core";
import { parseHeader } from "#formats/message";
import { readAuthor } from "#identity/author";
import { hasBrowser, launchBrowser } from "../kit/browser.ts";
import { disguised, forgedResults, injected, replayed, sealedReplays } from "../kit/disguises.ts";
import { type FakeDns, startFakeDns } from "../kit/fake-dns.ts";
import { type Installation, startInstallation } from "../kit/installation.ts";
import { emailsByJmap, headersByImap, type Login, type SeenEmail } from "../kit/mail-readers.ts";
import { SmtpDialogue } from "../kit/smtp-dialogue.ts";
import { composition, fromForms, type Spoof, weakLinks } from "../kit/spoofs.ts";
import { message, sendAs, signedBy, strangersZone, utf8 } from "../kit/strangers.ts";
import { submissions } from "../kit/submissions.ts";

const all = [
  ...[...composition, ...weakLinks, ...fromForms],
  ...[...forgedResults, ...injected, ...replayed, ...sealedReplays, ...disguised],
];
/** The reader, and one of whom the others pretend to be somebody. */
const people: Login[] = [];
let dns: FakeDns;
let installation: Installation;
const replies = new Map<string, string>();
let headers: ReadonlyMap<string, string>;
let emails: ReadonlyMap<string, SeenEmail>;
let toBen: ReadonlyMap<string, SeenEmail>;
let headersToBen: ReadonlyMap<string, string>;

before(async () => {
  dns = await startFakeDns(strangersZone());
  installation = await startInstallation({
    config: `
[dns]
servers = ["127.0.0.1:${dns.endpoint.port}"]
[balancer]
mail = ["127.0.0.0/8"]
[edge]
replayLimit = 5
[spam]
partners = ["bank.example"]
[identity]
trustedSealers = ["sealer.example"]
`,
  });
  const ready = installation.ready();
  people.push(...ready.accounts);
  const [ana, ben] = people as [Login, Login];
  const usual = { helo: "attack.example", mailFrom: "<any@attack.example>", to: [ana.address] };
  for (const one of [...all, ...browsed]) {
    replies.set(one.id, await sendAs(ready.smtp, { ...usual, ...one }));
  }
  for (const [nth, octets] of flood.entries()) {
    const to = [ana.address.replace("@", `+${nth}@`)];
    replies.set(`flood.${nth}`, await sendAs(ready.smtp, { ...usual, to, octets }));
  }
  for (const one of submissions)
    replies.set(one.id, await submit(ana, ben, one.octets, one.mailFrom));
  headers = await everyHeader(ana);
  emails = await emailsByJmap(ready, ana);
  headersToBen = await everyHeader(ben);
  toBen = await emailsByJmap(ready, ben);
});

after(async () => {
  await installation[Symbol.asyncDispose]();
  await dns[Symbol.asyncDispose]();
});

async function everyHeader(person: Login): Promise<ReadonlyMap<string, string>> {
  const ready = installation.ready();
  const junk = await headersByImap(ready, person, "Junk");
  return new Map([...junk, ...(await headersByImap(ready, person, "INBOX"))]);
}

/** @param mailFrom with its brackets; of the login when it is absent */
async function submit(
  { address, password }: Login,
  to: Login,
  octets: string,
  mailFrom = `<${address}>`,
): Promise<string> {
  const { submission, ca } = installation.ready();
  const tls = { ca: readFileSync(ca, "utf8"), servername: "localhost" };
  const dialogue = new SmtpDialogue(submission, tls);
  try {
    await dialogue.reply();
    const login = Buffer.from(`\0${address}\0${password}`).toString("base64");
    const lines = ["EHLO client.example", `AUTH PLAIN ${login}`, `MAIL FROM:${mailFrom}`];
    for (const line of [...lines, `RCPT TO:<${to.address}>`, "DATA"]) {
      const reply = (await dialogue.say(line)) ?? "closed";
      if (!/^[23]/.test(reply)) return reply;
    }
    dialogue.write(`${octets.replace(/^\./gm, "..")}.\r\n`);
    return (await dialogue.reply()) ?? "closed";
  } finally {
    dialogue.close();
  }
}

/** The state and what speaks against it; what only tells of an earlier letter is left out. */
function outcomeOf(id: string, seen: ReadonlyMap<string, SeenEmail>): string {
  const email = seen.get(id);
  if (email === undefined) {
    assert.match(replies.get(id) ?? "no reply", /^5\d\d /);
    return "refused";
  }
  const evidence = email.senderEvidence.map(({ type }) => type);
  return [email.senderState, ...evidence.filter((one) => one !== "first-contact")].join(" ");
}

/** Fields that somebody may take for our Authentication-Results, however generously he reads. */
function resultsInOurName(header: string): readonly string[] {
  const unfolded = header.replace(/\r\n(?=[ \t])/g, "");
  return unfolded.split("\r\n").filter((line) => {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0)).replace(/[^!-~]/g, "");
    const id = line
      .slice(colon + 1)
      .replace(/\([^)]*\)|[\s"\\]/g, "")
      .replace(/\.+(?=;|$)/, "");
    return /^authentication-results$/i.test(name) && /^mail\.postern\.test/i.test(id);
  });
}

/** Comments and quoted strings are nobody's results (RFC 8601 §2.2). */
function statements(results: string): readonly string[] {
  const bare = results.replace(/"(?:[^"\\]|\\.)*"/g, "quoted").replace(/\((?:[^()\\]|\\.)*\)/g, "");
  return bare.split(";").map((one) => one.trim());
}

const vouched = new Set(["verified", "verified-other", "internal"]);
const victims = /\b(?:bank\.example|postern\.test)(?![\w.-]*\w)/;

function shownDomains({ from }: SeenEmail): readonly string[] {
  return (from ?? []).map(({ email }) => domainToASCII(email.slice(email.lastIndexOf("@") + 1)));
}

/** The first that the sentence names: the others only vouch for it. */
function namedDomains({ senderText }: SeenEmail): readonly string[] {
  return senderText.match(/[\w-]+(?:\.[\w-]+)+/)?.slice(0, 1) ?? [];
}

/** What holds for every reader, whatever came. */
function nobodySaysBank({ id, outcome }: Spoof): void {
  const email = emails.get(id);
  const header = headers.get(id);
  assert.equal(email === undefined, outcome === "refused", replies.get(id) ?? "no reply");
  assert.equal(header === undefined, email === undefined);
  if (email === undefined || header === undefined) return;
  const [ours = "", ...others] = resultsInOurName(header);
  assert.deepEqual(others, [], "a field in our name came in");
  assert.match(header, /^Return-Path:.*\r\nAuthentication-Results: mail\.postern\.test;\r\n/);
  const [head = ""] = header.split("\r\nReceived: ");
  const longest = Math.max(...head.split("\r\n").map((line) => line.length));
  assert.ok(longest <= 998, `a line of ${longest} (RFC 5322 §2.1.1)`);
  const found = statements(ours);
  assert.match(
    found.find((one) => one.startsWith("x-sender=")) ?? "",
    new RegExp(`=${email.senderState}\\b`),
  );
  assert.equal(found.filter((one) => one.startsWith("dmarc=")).length, 1, ours);
  const dmarc = found.find((one) => one.startsWith("dmarc=")) ?? "";
  const shown = shownDomains(email);
  if (vouched.has(email.senderState)) assert.deepEqual(shown, namedDomains(email));
  if (dmarc.startsWith("dmarc=pass")) {
    assert.equal(/ header\.from=(\S+)/.exec(dmarc)?.[1], shown.join());
  }
  if (outcome.startsWith("verified")) return;
  assert.doesNotMatch(dmarc, /^dmarc=pass/, ours);
  assert.ok(!vouched.has(email.senderState), email.senderText);
}

const catalogue: readonly (readonly [what: string, spoofs: readonly Spoof[]])[] = [
  ["A1 Composition Kills", composition],
  ["A3 Weak Links", weakLinks],
  ["A4 forms of From", fromForms],
  ["A9 replay", replayed],
  ["A11 replay of a seal", sealedReplays],
  ["A13 what is shown", disguised],
  ["S17 results in our name", forgedResults],
  ["what comes back in our results", injected],
];
for (const [what, spoofs] of catalogue) {
  describe(what, () => {
    for (const spoof of spoofs) {
      test(`${spoof.id} ${spoof.what}: ${spoof.outcome}`, () => {
        assert.equal(outcomeOf(spoof.id, emails), spoof.outcome);
        nobodySaysBank(spoof);
        const { senderState = "", senderText = "" } = emails.get(spoof.id) ?? {};
        const isReplay = spoofs === replayed || spoofs === sealedReplays;
        if (vouched.has(senderState) && !isReplay) assert.doesNotMatch(senderText, victims);
      });
    }
  });
}

test("RFC 8601 nobody who only looks for words finds a pass in our results", () => {
  const found = injected.filter(({ id }) => {
    const [ours = ""] = resultsInOurName(headers.get(id) ?? "");
    return /dmarc=pass[ ;.][^;]*bank\.example/.test(ours);
  });
  assert.deepEqual(
    found.map(({ id, what }) => `${id} ${what}`),
    [],
  );
});

/** White space in b= changes nothing that is signed (RFC 6376 §3.5). */
const flood: readonly string[] = Array.from({ length: 12 }, (_, nth) => {
  const octets = signedBy("bank.example", message("flood", "From: Bank <admin@bank.example>"));
  const spaced = octets.replace(/; b=(.)/, (_whole, first) => `; b=${first}${" ".repeat(nth * 4)}`);
  return spaced.replace(/^X-Case: flood/m, `X-Case: flood.${nth}`);
});

test("A9 the same signature for ever more people goes to Junk, however it is written", () => {
  const seen = flood.map((_, nth) => emails.get(`flood.${nth}`));
  assert.deepEqual(
    seen.map((email) => email?.inJunk),
    flood.map((_, nth) => nth >= 5),
  );
  for (const email of seen) assert.equal(email?.senderState, "verified");
});

describe("A2 what a login may submit", () => {
  for (const { id, what, outcome } of submissions) {
    test(`${id} ${what}: ${outcome}`, () => {
      assert.equal(outcomeOf(id, toBen), outcome);
      if (outcome === "refused") return;
      const header = headersToBen.get(id) ?? "";
      assert.deepEqual(resultsInOurName(header), []);
      const author = readAuthor(parseHeader(Buffer.from(header, "latin1")));
      assert.equal(
        author.kind === "one" && author.address.replace("+tag", ""),
        people[0]?.address,
        header,
      );
      assert.equal(toBen.get(id)?.senderText, "Inside your organisation.");
    });
  }
});

type Browsed = Pick<Spoof, "id" | "octets" | "mailFrom">;
const browsed: readonly Browsed[] = (
  [
    ["own", "From: Ben Demo <ben@postern.test>"],
    ["double", "From: Bank <admin@bank.example>, Any <any@attack.example>"],
    ["alike", utf8("From: Bank <admin@bạnk.example>"), { mailFrom: "<any@xn--bnk-sgz.example>" }],
    [
      "foreign",
      "From: Bank <admin@bank.example>",
      {
        fields: "Authentication-Results: mx.bank.example; dmarc=pass header.from=bank.example\r\n",
      },
    ],
  ] as readonly (readonly [string, string, { mailFrom?: string; fields?: string }?])[]
).map(([id, author, { fields = "", mailFrom } = {}]) => ({
  id,
  octets: message(id, author, { fields, subject: `a case: ${id}` }),
  ...(mailFrom !== undefined && { mailFrom }),
}));

describe("the webmail", { skip: !hasBrowser }, () => {
  let browser: Browser;
  let page: Page;
  before(async () => {
    const { https, accounts } = installation.ready();
    browser = await launchBrowser();
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    context.setDefaultTimeout(15_000);
    page = await context.newPage();
    await page.goto(https.url);
    await page.getByLabel("E-mail address").fill(accounts[0]?.address ?? "");
    await page.getByLabel("Password").fill(accounts[0]?.password ?? "");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.locator(".mailbox", { hasText: "Junk" }).click();
  });
  after(() => browser?.close());

  for (const [id, wanted] of [
    ["own", /claims to be from postern\.test/],
    ["double", /could not be checked/],
    ["alike", /xn--bnk-sgz\.example/],
    ["foreign", /says this is not from them/],
  ] as const) {
    test(`says nothing good of the ${id} one, and why`, async () => {
      const row = page.locator(".row-open", { hasText: new RegExp(`a case: ${id}`) });
      await row.click();
      const article = page.locator("article.message");
      await article.locator(".identity-line", { hasText: wanted }).click();
      await article.getByText("Came from", { exact: true }).waitFor();
      for (const place of [row, article]) {
        const text = await place.innerText();
        assert.doesNotMatch(text, /Sent by (?!xn--)|Verified domain|Inside your organisation/);
        // The one that looks alike passes for itself, and the header may say so by its own name.
        assert.doesNotMatch(text, /dmarc=pass(?! \([^)]*\) header\.from=xn--)/);
        assert.equal(await place.getByTitle(/Verified|Inside/).count(), 0);
      }
    });
  }
});
