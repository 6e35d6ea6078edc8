/** The webmail in a real browser, behind the real web edge and link, over mail from memory. */

import { generateKeyPairSync, sign } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { createSessions } from "#access/sessions";
import { systemClock } from "#base/clock";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { systemRandom } from "#base/random";
import { type Link, type LinkStream, linkPair } from "#contracts/link";
import type { WebLogin } from "#contracts/web";
import { startEdgeWeb } from "#edge/web";
import { posternRules } from "#proxy";
import { readWebRequest } from "../../src/hub/publish/request.ts";
import { accountDoor } from "../../src/hub/web/account.ts";
import { createWebService, type ShownRead } from "../../src/hub/web/index.ts";
import { launchBrowser } from "../kit/browser.ts";
import { selfSigned } from "../kit/certificate.ts";
import { type StubJmap, stubJmap } from "./webmail-stub.ts";

/** Where pictures go when somebody wants to look: POSTERN_SHOTS=folder. */
const shots = process.env["POSTERN_SHOTS"];
export const person = { id: "a1", address: "ana@example.org", displayName: "Ana Sample" };

const right = "right horse";

export interface Opened {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What a strict policy or a broken script would print. */
  readonly complaints: string[];
}

export interface Stage extends AsyncDisposable {
  readonly jmap: StubJmap;
  readonly base: string;
  /** What the hub answers to "read by others". */
  reads: ShownRead[];
  open(
    colorScheme?: "light" | "dark",
    viewport?: { readonly width: number; readonly height: number },
  ): Promise<Opened>;
  signIn(page: Page): Promise<void>;
  endSession(context: BrowserContext): Promise<void>;
}

export async function openStage(): Promise<Stage> {
  const directory = mkdtempSync(join(tmpdir(), "postern-webmail-"));
  if (shots) mkdirSync(shots, { recursive: true });
  const { key, cert } = selfSigned("localhost");
  const tls = { keyFile: join(directory, "key.pem"), certFile: join(directory, "cert.pem") };
  writeFileSync(tls.keyFile, key, { mode: 0o600 });
  writeFileSync(tls.certFile, cert);
  const jmap = stubJmap();
  const inside = insideOf(jmap, () => stage.reads);
  const links = linkPair();
  links[1].onStream(inside);
  const policyKeys = generateKeyPairSync("ed25519");
  const policyPublicKey = policyKeys.publicKey.export({ type: "spki", format: "pem" });
  const edge = await startEdgeWeb(
    { listen: { host: "127.0.0.1", port: 0 }, publishedHosts: ["localhost"], tls, policyPublicKey },
    {
      links: {
        forKind: () => links[0],
        onStream: (handler) => links[0].onStream((stream) => handler(stream, links[0])),
      },
      clock: systemClock,
      log: silentLog,
      registry: new Registry(),
    },
  );
  await tellPolicy(links[1], (octets) => sign(null, octets, policyKeys.privateKey));
  const base = `https://localhost:${edge.endpoint.port}`;
  const browser = await launchBrowser();
  const stage: Stage = {
    ...{ jmap, base, reads: [] },
    open: (colorScheme = "light", viewport = { width: 1280, height: 800 }) =>
      openPage(browser, colorScheme, viewport),
    async signIn(page) {
      await page.goto(`${base}/`);
      await enter(page);
      await page.getByRole("navigation", { name: "Mailboxes" }).waitFor();
      await page.locator(".mailbox").first().waitFor();
    },
    async endSession(context) {
      const cookies = await context.cookies();
      const session = cookies.find((one) => one.name === "__Host-postern")?.value ?? "";
      links[0].open("logout", { session });
    },
    async [Symbol.asyncDispose]() {
      await browser.close();
      await edge[Symbol.asyncDispose]();
      for (const link of links) link.close("test over");
      rmSync(directory, { recursive: true });
    },
  };
  return stage;
}

/** Tells the edge what is published, as the hub does. */
async function tellPolicy(inside: Link, signed: (octets: Buffer) => Buffer): Promise<void> {
  const login = { passkeys: false };
  const policy = { version: 1, hosts: ["localhost"], rules: posternRules([]), login };
  const snapshot = JSON.stringify(policy);
  const signature = signed(Buffer.from(snapshot)).toString("base64");
  const data = Buffer.from(JSON.stringify({ snapshot, signature }));
  await inside.open("policy", {}, { data, end: {} }).answered;
}

function insideOf(jmap: StubJmap, reads: () => readonly ShownRead[]): (stream: LinkStream) => void {
  const minutes = 60_000;
  const times = { idleMs: 15 * minutes, absoluteMs: 480 * minutes };
  const publicTimes = { publicIdleMs: 10 * minutes, publicAbsoluteMs: 60 * minutes };
  const sessions = createSessions({
    ...{ clock: systemClock, random: systemRandom, ...times, ...publicTimes },
  });
  const directory = {
    person: (id: string) => (id === person.id ? person : undefined),
    factors: () => [],
    minPasswordLength: 8,
  };
  const service = createWebService({
    ...{ jmap, sessions, directory, clock: systemClock, log: silentLog },
    account: accountDoor({
      ...{ sessions, directory, settings: { requireSecondFactor: false } },
      service: {} as never, // nobody changes a factor here
      nowMs: Date.now,
    }),
    services: { hostname: "localhost", domain: "example.org", isOurDomain: () => false, ports: {} },
    reads: async () => reads(),
    distDirectory: join(import.meta.dirname, "../../web/dist"),
  });
  return (stream) => {
    if (stream.kind === "web") {
      const ask = readWebRequest(stream.header);
      if (ask === undefined) return stream.abort("malformed");
      return service.serve(stream, ask);
    }
    if (stream.kind === "logout") {
      return void sessions.revoke((stream.header as { session: string }).session);
    }
    const login = stream.header as WebLogin;
    const isRight =
      login.step === "password" && login.name === person.address && login.password === right;
    if (!isRight) return stream.answer({ ok: false, reason: "refused" });
    const { publicComputer, clientAddress } = login;
    const signOn = { name: person.address };
    const { handle } = sessions.issue(person.id, { publicComputer, clientAddress, signOn });
    const seconds = { idleSeconds: 900, absoluteSeconds: 28_800 };
    stream.answer({ ok: true, session: handle, publicComputer, ...seconds });
  };
}

async function openPage(
  browser: Browser,
  colorScheme: "light" | "dark",
  viewport: { readonly width: number; readonly height: number },
): Promise<Opened> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, colorScheme, viewport });
  context.setDefaultTimeout(5000);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (line) => {
    if (line.type() === "error") complaints.push(line.text());
  });
  return { context, page, complaints };
}

/** Fills in the form and sends it. */
export async function enter(page: Page, password: string = right): Promise<void> {
  await page.getByLabel("E-mail address").fill(person.address);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

export async function shot(page: Page, name: string): Promise<void> {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
}
