/** The administrator's interface: plain JSON over HTTP, for the command line and the console. */

import { type Context, Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import * as v from "valibot";
import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import { Denied, Misconfigured, Unavailable } from "#base/errors";
import type { Directory } from "#contracts/directory";
import type { Keyring } from "#contracts/keyring";
import type { AdminFault, AdminOutcome, DirectoryAdmin, DirectoryFactors } from "#directory";
import { parseDomain } from "#formats/address";
import type { OpenStore } from "#store";
import { backupRoutes } from "./admin-backup.ts";
import { type ConnectorPorts, connectorRoutes } from "./admin-connectors.ts";
import { dkimRoutes } from "./admin-dkim.ts";
import { factorRoutes } from "./admin-factors.ts";
import { body, whole } from "./admin-input.ts";
import { type QueuePorts, queueRoutes } from "./admin-queue.ts";
import { reportRoutes } from "./admin-reports.ts";
import { auditRoutes, retentionRoutes } from "./admin-retention.ts";
import { storeRoutes } from "./admin-store.ts";
import type { Backups } from "./backups.ts";
import type { Certificates } from "./certificates/index.ts";
import { certificateRoutes } from "./certificates/routes.ts";
import type { HubEvents } from "./events.ts";
import type { Gateways } from "./gateway/index.ts";
import { gatewayRoutes } from "./gateway/routes.ts";
import type { LedgerHistory } from "./ledger-history.ts";
import type { Outgoing } from "./outgoing.ts";
import type { Reports } from "./reports/index.ts";
import type { SignIn } from "./sign-in.ts";

export interface AdminPorts
  extends Pick<QueuePorts, "explain">,
    Pick<ConnectorPorts, "connectors"> {
  /** With the domain that is added at each start. */
  readonly settings: ConnectorPorts["settings"] & { readonly domain: string };
  readonly store: OpenStore;
  readonly directory: DirectoryAdmin &
    Pick<Directory, "person" | "personByAddress"> &
    Pick<DirectoryFactors, "factors" | "changeFactors">;
  readonly gateways: Gateways;
  readonly keyring: Keyring;
  readonly clock: Clock;
  /** The edge's. */
  readonly resolver: Pick<Resolver, "query">;
  readonly events: HubEvents;
  readonly status: () => Promise<object>;
  readonly metrics: () => Promise<string>;
  readonly figures: () => readonly object[];
  /** Ends the web sessions of an address: whoever knew the old password is out. */
  readonly signOut: (address: string) => void;
  readonly signIn: Pick<SignIn, "sessions" | "service" | "signOut">;
  /** What waits for a place is tried there now: the domain's, or all. */
  readonly lookNow: (domain?: string) => void;
  /** Destroys what was deleted, now. */
  readonly erase: () => Promise<object>;
  readonly history: LedgerHistory;
  readonly backups: Backups;
  readonly certificates: Certificates;
  readonly reports: Reports;
  readonly tlsTo: Outgoing["tlsTo"];
}

const name = v.pipe(v.string(), v.trim(), v.minLength(1), v.maxLength(320));
const newDomain = v.strictObject({ name });
const newAccount = v.strictObject({
  address: name,
  displayName: v.optional(v.pipe(v.string(), v.maxLength(200)), ""),
  password: v.pipe(v.string(), v.maxLength(1024)),
});
const endedLog = v.strictObject({ log: name });
const newPassword = v.strictObject({ password: newAccount.entries.password });
const newAlias = v.strictObject({
  address: name,
  targets: v.pipe(v.array(name), v.minLength(1), v.maxLength(1000)),
});

/** @param by who acts, for the ledger: "console", "command line" */
export function adminRoutes(ports: AdminPorts, by: string): Hono {
  const app = new Hono();
  app.onError(asReply);
  app.notFound((c) => c.json({ error: "no such thing" }, 404));
  app.get("/status", async (c) => c.json(await ports.status()));
  app.get("/measure", (c) => c.json(ports.figures()));
  app.get("/metrics", async (c) =>
    c.text(await ports.metrics(), 200, {
      "Content-Type": "application/openmetrics-text; version=1.0.0; charset=utf-8",
    }),
  );
  peopleRoutes(app, ports, by);
  factorRoutes(app, ports, by);
  queueRoutes(app, ports, by);
  app.get("/trace", async (c) => {
    const text = c.req.query("text");
    const sinceMs = whole(c, "since", 0);
    const limit = Math.min(whole(c, "limit", 50), 1000);
    const found = await ports.store.traces.find({ ...(text && { text }), sinceMs, limit });
    return c.json(found);
  });
  app.get("/trace/:id", async (c) => found(c, await ports.store.traces.show(c.req.param("id"))));
  app.get("/witness/head", async (c) => c.json(await ports.history.head()));
  app.get("/witness/keys", (c) => c.json(ports.history.keys()));
  app.get("/witness/proof/:id", async (c) =>
    found(c, await ports.history.prove(c.req.param("id"))),
  );
  app.post("/witness/renew", async (c) => {
    const wish = await body(c, endedLog);
    const log = await ports.history.renew(wish.log);
    ports.events.adminActed(`end the log ${wish.log} and begin ${log}`, by);
    return c.json({ log });
  });
  storeRoutes(app, ports, by);
  retentionRoutes(app, ports, by);
  auditRoutes(app, ports, by);
  backupRoutes(app, ports, by);
  certificateRoutes(app, ports, by);
  reportRoutes(app, ports, by);
  connectorRoutes(app, ports);
  app.get("/outbound/:domain/tls", async (c) => {
    const domain = parseDomain(c.req.param("domain"), true);
    const isElsewhere = domain !== null && !ports.directory.domains().some(isNamed(domain));
    return isElsewhere ? c.json(await ports.tlsTo(domain)) : c.notFound();
  });
  gatewayRoutes(app, ports);
  dkimRoutes(app, ports, by);
  return app;
}

function isNamed(domain: string): (one: { readonly name: string }) => boolean {
  return ({ name }) => name === domain;
}

function peopleRoutes(app: Hono, ports: AdminPorts, by: string): void {
  const { directory, keyring, events } = ports;
  const done = (c: Context, outcome: AdminOutcome<unknown>, what: string): Response => {
    if (!outcome.ok) {
      const why = faultTexts(directory.minPasswordLength)[outcome.fault];
      throw faultReply(outcome.fault, `${what}: ${why}`);
    }
    events.adminActed(what, by);
    return c.json({ done: what });
  };
  app.get("/domains", (c) => c.json(directory.domains()));
  app.post("/domains", async (c) => {
    const wish = await body(c, newDomain);
    const outcome = await directory.addDomain(wish.name, by);
    if (outcome.ok) await keyring.makeDkimKeys(outcome.value.name);
    return done(c, outcome, `add domain ${wish.name}`);
  });
  app.delete("/domains/:name", async (c) => {
    const which = c.req.param("name");
    const what = `remove domain ${which}`;
    const why = whyItStays(which.toLowerCase(), ports);
    if (why !== undefined) throw new HTTPException(409, { message: `${what}: ${why}` });
    return done(c, await directory.removeDomain(which, by), what);
  });
  app.get("/accounts", (c) => c.json(directory.accounts()));
  app.post("/accounts", async (c) => {
    const wish = await body(c, newAccount);
    return done(c, await directory.addAccount(wish, by), `add account ${wish.address}`);
  });
  app.put("/accounts/:address/password", async (c) => {
    const { password } = await body(c, newPassword);
    const which = c.req.param("address");
    const outcome = await directory.setPassword(which, password, by);
    if (outcome.ok) ports.signOut(which);
    return done(c, outcome, `set password of ${which}`);
  });
  app.delete("/accounts/:address", async (c) => {
    const which = c.req.param("address");
    return done(c, await directory.removeAccount(which, by), `remove account ${which}`);
  });
  app.get("/aliases", (c) => c.json(directory.aliases()));
  app.post("/aliases", async (c) => {
    const wish = await body(c, newAlias);
    const outcome = await directory.addAlias(wish.address, wish.targets, by);
    return done(c, outcome, `set alias ${wish.address}`);
  });
  app.delete("/aliases/:address", async (c) => {
    const which = c.req.param("address");
    return done(c, await directory.removeAlias(which, by), `remove alias ${which}`);
  });
}

/** A domain that the configuration names would be back at the next start. */
function whyItStays(
  domain: string,
  { settings, gateways }: Pick<AdminPorts, "settings" | "gateways">,
): string | undefined {
  const then = "start Postern again, and remove it then";
  if (domain === settings.domain) {
    return `it is the first domain of this installation: name another in site.domain, ${then}`;
  }
  if (!gateways.domains.includes(domain)) return undefined;
  return `a [gateway.NAME] of the configuration has it: take it out there, ${then}`;
}

const faultTexts = (minPasswordLength: number): Readonly<Record<AdminFault, string>> => ({
  "bad-address": "that is not an address",
  "bad-domain": "that is not a domain name",
  exists: "it exists already",
  "in-use": "an account or an alias has an address in it",
  loop: "a target leads back to this alias",
  "no-such": "there is no such thing",
  "no-such-target": "a target is in a domain of ours and leads to nobody",
  "not-local": "its domain is not one of ours: add the domain first",
  "weak-password": `the password is too short: ${minPasswordLength} characters at least`,
});

function faultReply(fault: AdminFault, message: string): HTTPException {
  return new HTTPException(fault === "no-such" ? 404 : 409, { message });
}

function found(c: Context, value: object | undefined): Response | Promise<Response> {
  return value === undefined ? c.notFound() : c.json(value);
}

/** The only table from failures to HTTP statuses here. */
function asReply(error: Error, c: Context): Response {
  if (error instanceof HTTPException) return c.json({ error: error.message }, error.status);
  if (error instanceof Misconfigured) return c.json({ error: error.message }, 400);
  if (error instanceof Denied) return c.json({ error: error.message }, 403);
  if (error instanceof Unavailable) return c.json({ error: error.message }, 503);
  return c.json({ error: "internal failure" }, 500);
}
