/** The built webmail in a browser with every answer made here: sessions as short as a test wants. */

import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import type { Browser, BrowserContext, Page, Route } from "playwright-core";
import { type StubJmap, stubJmap } from "./webmail-stub.ts";

const dist = process.env["POSTERN_DIST"] ?? join(import.meta.dirname, "../../web/dist");
const shots = process.env["POSTERN_SHOTS"];
const base = "https://mail.test";
const person = { id: "a1", address: "ana@example.org", displayName: "Ana Sample" };
const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
};

interface StubFactor {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly addedAtMs: number;
  readonly left?: number;
}

export interface StubFront {
  readonly context: BrowserContext;
  readonly jmap: StubJmap;
  /** Paths that were asked, with their method. */
  readonly asked: string[];
  /** What a strict browser or a broken script would print. */
  readonly complaints: string[];
  idleMs: number;
  absoluteMs: number;
  mustEnrol: boolean;
  /** The password is asked again before changes. */
  mustConfirm: boolean;
  factors: StubFactor[];
  account: string;
  /** Begins the session anew. */
  restart(): void;
  open(fragment?: string): Promise<Page>;
}

export interface Look {
  readonly colorScheme?: "light" | "dark";
  readonly width?: number;
}

export async function openFront(browser: Browser, look: Look = {}): Promise<StubFront> {
  const { colorScheme = "light", width = 1280 } = look;
  const viewport = { width, height: 820 };
  const context = await browser.newContext({ colorScheme, viewport });
  context.setDefaultTimeout(5000);
  let usedMs = Date.now();
  let begunMs = usedMs;
  const front: StubFront = {
    ...{ context, jmap: stubJmap(), asked: [], complaints: [], factors: [], account: person.id },
    ...{ idleMs: 600_000, absoluteMs: 3_600_000, mustEnrol: false, mustConfirm: false },
    restart() {
      usedMs = Date.now();
      begunMs = usedMs;
    },
    async open(fragment = "") {
      const page = await context.newPage();
      page.on("pageerror", (error) => front.complaints.push(error.message));
      await page.goto(`${base}/mail/${fragment}`);
      return page;
    },
  };
  const left = (): readonly [idleMs: number, absoluteMs: number] => {
    const nowMs = Date.now();
    return [usedMs + front.idleMs - nowMs, begunMs + front.absoluteMs - nowMs];
  };
  await context.route("**/*", async (route) => {
    const request = route.request();
    const { pathname, search } = new URL(request.url());
    front.asked.push(`${request.method()} ${pathname}${search}`);
    if (pathname.startsWith("/login") || pathname === "/logout") {
      return route.fulfill({ contentType: "text/html", body: "<h1>The form</h1>" });
    }
    if (pathname === "/mail/" || pathname.startsWith("/mail/assets/"))
      return asset(route, pathname);
    if (Math.min(...left()) <= 0) return json(route, 401, {});
    const isUse = !search.includes("background=1") && pathname !== "/session";
    if (isUse && pathname !== "/jmap/events") usedMs = Date.now();
    if (pathname === "/session" || pathname === "/session/extend") {
      const [idle, absolute] = left().map((ms) => Math.floor(ms / 1000));
      return json(route, 200, {
        ...{ idleEndsInSeconds: idle, absoluteEndsInSeconds: absolute },
        ...{ publicComputer: false, mustEnrol: front.mustEnrol },
      });
    }
    if (pathname.startsWith("/account/")) return account(front, route, pathname);
    if (pathname === "/jmap/session") {
      const session = await front.jmap.session({ ...person, id: front.account }, base);
      return json(route, 200, session);
    }
    if (pathname === "/jmap/api") {
      const body = JSON.parse(request.postData() ?? "{}");
      const answer = await front.jmap.api(person, body, "192.0.2.1");
      return json(route, answer.status, answer.body);
    }
    if (pathname === "/mail/reads") return json(route, 200, []);
    return json(route, 404, {});
  });
  return front;
}

function asset(route: Route, pathname: string): Promise<void> {
  const name = pathname === "/mail/" ? "index.html" : pathname.slice("/mail/".length);
  const path = join(dist, name);
  if (!existsSync(path)) return route.fulfill({ status: 404 });
  return route.fulfill({ contentType: types[extname(name)] ?? "", body: readFileSync(path) });
}

const json = (route: Route, status: number, body: unknown): Promise<void> =>
  route.fulfill({ status, contentType: "application/json", body: JSON.stringify(body) });

/** As the inside answers: names of faults are its own. */
function account(front: StubFront, route: Route, pathname: string): Promise<void> {
  const what = pathname.slice("/account/".length);
  const body = JSON.parse(route.request().postData() ?? "{}") as Record<string, string>;
  const fault = (status: number, why: string): Promise<void> =>
    json(route, status, { type: `urn:postern:account:${why}`, status });
  const add = (kind: string, name = ""): void => {
    const id = `${kind}-${front.factors.length}`;
    front.factors.push({
      id,
      kind,
      name,
      addedAtMs: Date.now(),
      ...(kind === "recovery-codes" && { left: 10 }),
    });
  };
  const recoveryCodes = Array.from({ length: 10 }, (_, one) => `abcd-efgh-${one}${one}jk`);
  if (what === "factors") return json(route, 200, { factors: front.factors });
  if (what === "sessions") {
    const one = { issuedAtMs: Date.now() - 7_200_000, usedAtMs: Date.now(), publicComputer: false };
    return json(route, 200, {
      sessions: [
        { ...one, id: "s1", clientAddress: "192.0.2.7", isOwn: true },
        { ...one, id: "s2", clientAddress: "2001:db8::17", isOwn: false, publicComputer: true },
      ],
    });
  }
  if (what === "confirm") {
    if (body["password"] !== "right horse") return fault(403, "wrong-password");
    front.mustConfirm = false;
    return json(route, 200, {});
  }
  if (front.mustConfirm && !what.endsWith("/finish")) return fault(403, "confirm");
  if (what === "totp/begin") {
    const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    const uri = `otpauth://totp/Postern:ana%40example.org?secret=${secret}&issuer=Postern`;
    return json(route, 200, { secret, uri });
  }
  if (what === "totp/finish") {
    if (body["code"] !== "123456") return fault(400, "wrong-code");
    const isFirst = front.factors.length === 0;
    add("totp", body["name"]);
    if (isFirst) add("recovery-codes");
    const shown = isFirst ? { recoveryCodes } : {};
    return json(route, 200, { id: "t", signInAgain: front.mustEnrol, ...shown });
  }
  if (what === "factors/remove") {
    front.factors = front.factors.filter(({ id }) => id !== body["id"]);
    return json(route, 200, {});
  }
  if (what === "recovery-codes") return json(route, 200, { codes: recoveryCodes });
  if (what === "app-passwords") {
    add("app-password", body["name"]);
    return json(route, 200, { id: "p", password: "mzxw-6ytb-oi4d-qqta-pj2x" });
  }
  return json(route, 200, {});
}

export async function shot(page: Page, name: string): Promise<void> {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
}
