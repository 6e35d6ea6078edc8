/** The console's listener: health, measures and administration, on loopback behind a token. */

import { timingSafeEqual } from "node:crypto";
import { createAdaptorServer } from "@hono/node-server";
import { type Context, Hono, type Next } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { formatTrace } from "#assurance/trace";
import type { Endpoint, Listener } from "#base/net";
import { type AdminPorts, adminRoutes } from "./admin.ts";
import { type ConsoleFacts, consolePage, tokenPage, tracePage } from "./console-page.ts";

export interface ConsolePorts extends AdminPorts {
  readonly token: string;
  readonly isReady: () => boolean;
  readonly facts: () => Promise<ConsoleFacts>;
}

const cookieName = "postern_console";
const policy =
  "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/** Health needs no token: it tells nothing but alive or not. */
export function consoleApp(ports: ConsolePorts): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    await next();
    c.header("Content-Security-Policy", policy);
    c.header("X-Content-Type-Options", "nosniff");
    c.header("Referrer-Policy", "no-referrer");
    c.header("Cache-Control", "no-store");
  });
  // A foreign name that points at loopback must not reach us through somebody's browser.
  app.use(async (c, next) => {
    const host = (c.req.header("host") ?? "").replace(/:\d+$/, "");
    if (!["127.0.0.1", "localhost", "[::1]"].includes(host)) return c.text("misdirected", 421);
    return next();
  });
  app.get("/livez", (c) => c.text("ok\n"));
  app.get("/readyz", (c) => (ports.isReady() ? c.text("ok\n") : c.text("not ready\n", 503)));
  app.get("/", (c) => home(c, ports));
  app.use("/api/*", (c, next) => onlyWithToken(c, next, ports.token));
  app.use("/metrics", (c, next) => onlyWithToken(c, next, ports.token));
  app.route("/api", adminRoutes(ports, "console"));
  app.use("/trace/*", (c, next) => onlyWithToken(c, next, ports.token));
  app.get("/trace/:id", async (c) => {
    const trace = await ports.store.traces.show(c.req.param("id"));
    return trace === undefined ? c.notFound() : c.html(tracePage(formatTrace(trace)));
  });
  // Routes that are mounted ask the outermost application what "not found" looks like.
  app.notFound((c) => c.json({ error: "no such thing" }, 404));
  app.get("/metrics", async (c) =>
    c.text(await ports.metrics(), 200, {
      "Content-Type": "application/openmetrics-text; version=1.0.0; charset=utf-8",
    }),
  );
  return app;
}

async function home(c: Context, ports: ConsolePorts): Promise<Response> {
  const given = c.req.query("token");
  if (given !== undefined) {
    if (!same(given, ports.token))
      return c.html(tokenPage("That token is not the right one."), 403);
    setCookie(c, cookieName, given, { httpOnly: true, sameSite: "Strict", path: "/" });
    // The token leaves the address bar at once.
    return c.redirect("/");
  }
  if (!same(getCookie(c, cookieName) ?? "", ports.token)) return c.html(tokenPage(), 401);
  return c.html(consolePage(await ports.facts()));
}

/** Bearer for scripts, cookie for the page's own reads; acts by cookie would need a CSRF guard. */
async function onlyWithToken(c: Context, next: Next, token: string): Promise<Response | void> {
  const bearer = /^Bearer (\S+)$/.exec(c.req.header("authorization") ?? "")?.[1];
  const reads = c.req.method === "GET" || c.req.method === "HEAD";
  const cookie = reads ? getCookie(c, cookieName) : undefined;
  if (!same(bearer ?? cookie ?? "", token)) return c.json({ error: "token missing or wrong" }, 401);
  return next();
}

function same(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

export function listenHttp(app: Hono, at: Endpoint | { readonly path: string }): Promise<Listener> {
  const server = createAdaptorServer({ fetch: app.fetch });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen("path" in at ? { path: at.path } : { host: at.host, port: at.port }, () => {
      server.removeListener("error", reject);
      const endpoint = "path" in at ? { host: at.path, port: 0 } : at;
      resolve({
        endpoint,
        [Symbol.asyncDispose]: () =>
          new Promise((done) => {
            server.close(() => done());
            if ("closeAllConnections" in server) server.closeAllConnections();
          }),
      });
    });
  });
}

/** The command line's door: a unix socket in the hub's folder, and a secret that lies beside it. */
export function adminApp(ports: AdminPorts, secret: string): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    const bearer = /^Bearer (\S+)$/.exec(c.req.header("authorization") ?? "")?.[1] ?? "";
    if (!same(bearer, secret)) return c.json({ error: "not permitted" }, 403);
    return next();
  });
  app.route("/", adminRoutes(ports, "command line"));
  app.notFound((c) => c.json({ error: "no such thing" }, 404));
  return app;
}
