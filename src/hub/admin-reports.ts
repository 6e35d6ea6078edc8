/** DMARC and TLS reports: the administrator's side. */

import type { Context, Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import * as v from "valibot";
import type { Clock } from "#base/clock";
import { formatIp, parseIp } from "#base/ip";
import { body, whole } from "./admin-input.ts";
import type { HubEvents } from "./events.ts";
import type { ReceivedFilter, Reports } from "./reports/index.ts";

/** As base64: a mail, or a report as it was attached. */
const maxImport = 24 * 1024 * 1024;
const newImport = v.strictObject({ octets: v.pipe(v.string(), v.maxLength(maxImport)) });

const maxListed = 10_000;
const dayMs = 86_400_000;

interface Ports {
  readonly reports: Reports;
  readonly clock: Clock;
  readonly events: HubEvents;
}

export function reportRoutes(app: Hono, { reports, clock, events }: Ports, by: string): void {
  const since = (c: Context): number => clock.nowMs() - whole(c, "days", 30) * dayMs;
  app.get("/reports", (c) => c.json(reports.overview(since(c), domainOf(c))));
  app.get("/reports/received", (c) => c.json(reports.received(filterOf(c))));
  app.get("/reports/received/:id", (c) => {
    const id = Number(c.req.param("id"));
    const found = Number.isSafeInteger(id) ? reports.show(id, limitOf(c, maxListed)) : undefined;
    return found === undefined ? c.notFound() : c.json(found);
  });
  app.get("/reports/sent", (c) => {
    const domain = domainOf(c);
    return c.json(reports.sent({ ...(domain && { domain }), limit: limitOf(c, 100) }));
  });
  app.get("/reports/own-sources", (c) => {
    const domain = domainOf(c);
    if (domain === undefined) throw new HTTPException(400, { message: "domain is missing" });
    return c.json(reports.ownSources(domain, since(c)));
  });
  app.post("/reports/send", async (c) => {
    const result = await reports.sendNow();
    events.adminActed(`send ${result.sent} reports`, by);
    return c.json(result);
  });
  app.post("/reports/import", async (c) => {
    const wish = await body(c, newImport);
    const imported = await reports.take(Buffer.from(wish.octets, "base64"));
    events.adminActed(`take in ${imported.kept} reports`, by);
    return c.json(imported);
  });
}

function filterOf(c: Context): ReceivedFilter {
  const day = c.req.query("day");
  const atMs = day === undefined ? undefined : Date.parse(`${day}T00:00:00Z`);
  if (day !== undefined && (!/^\d{4}-\d\d-\d\d$/.test(day) || Number.isNaN(atMs))) {
    throw new HTTPException(400, { message: `"${day}" is not a day such as 2026-11-21` });
  }
  return {
    domain: domainOf(c),
    dayMs: atMs,
    source: sourceOf(c),
    limit: limitOf(c, 100),
  };
}

/** In the form in which reports are kept: "2001:DB8::1" is the same address. */
function sourceOf(c: Context): string | undefined {
  const source = c.req.query("source");
  if (source === undefined) return undefined;
  const octets = parseIp(source);
  if (octets === undefined) {
    throw new HTTPException(400, { message: `"${source}" is not an IP address` });
  }
  return formatIp(octets);
}

function limitOf(c: Context, otherwise: number): number {
  return Math.min(whole(c, "limit", otherwise), maxListed);
}

function domainOf(c: Context): string | undefined {
  return c.req.query("domain")?.toLowerCase();
}
