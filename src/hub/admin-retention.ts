/** Rules, holds, and reading other people's mail: the administrator's side. */

import type { Context, Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import * as v from "valibot";
import type { Person } from "#contracts/directory";
import type { MailboxId } from "#model/mailbox";
import type { Hold, RetentionRule } from "#model/retention";
import type { AdminPorts } from "./admin.ts";
import { body, whole } from "./admin-input.ts";

const text = (maxLength: number) =>
  v.pipe(v.string(), v.trim(), v.minLength(1), v.maxLength(maxLength));

const which = { account: text(320), mailbox: text(1000) };
const newRule = v.strictObject({
  ...which,
  days: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(36_500)),
});
const reason = text(500);
const newHold = v.strictObject({ reason });
const newRead = v.strictObject({
  reason,
  /** Who asks, as the machine calls them: several people may have the secret. */
  user: v.optional(v.pipe(v.string(), v.regex(/^[\w.@-]{1,64}$/))),
});

const maxListed = 1000;

type Ports = Pick<AdminPorts, "store" | "directory" | "events">;

export function retentionRoutes(app: Hono, ports: Ports, by: string): void {
  const { directory, events } = ports;
  const { retention } = ports.store;
  const done = (c: Context, what: string): Response => {
    events.adminActed(what, by);
    return c.json({ done: what });
  };
  const accountOf = (account: string): RetentionRule["account"] =>
    account === "*" ? "*" : need(ports, account).id;
  const addressOf = (account: string): string => directory.person(account)?.address ?? account;

  app.get("/retention", async (c) => {
    const rules = await retention.rules();
    return c.json(rules.map((rule) => ({ ...rule, account: addressOf(rule.account) })));
  });
  app.put("/retention", async (c) => {
    const wish = await body(c, newRule);
    await retention.putRule({ ...wish, account: accountOf(wish.account) }, by);
    return done(c, `keep ${wish.mailbox} of ${wish.account} for ${wish.days} days`);
  });
  app.delete("/retention", async (c) => {
    const { account, mailbox } = query(c);
    if (!(await retention.removeRule(accountOf(account), mailbox, by))) return c.notFound();
    return done(c, `remove the rule for ${mailbox} of ${account}`);
  });

  app.get("/holds", async (c) => {
    const listed = ({ account, ...hold }: Hold) => ({ address: addressOf(account), ...hold });
    return c.json((await retention.holds()).map(listed));
  });
  app.put("/accounts/:address/hold", async (c) => {
    const person = need(ports, c.req.param("address"));
    const wish = await body(c, newHold);
    await retention.putHold(person.id, wish.reason, by);
    return done(c, `hold all mail of ${person.address}`);
  });
  app.delete("/accounts/:address/hold", async (c) => {
    const person = need(ports, c.req.param("address"));
    if (!(await retention.removeHold(person.id, by))) return c.notFound();
    return done(c, `end the hold on ${person.address}`);
  });
  app.get("/accounts/:address/withheld", async (c) => {
    const { id } = need(ports, c.req.param("address"));
    const mailbox: MailboxId | undefined = c.req.query("mailbox");
    const after = mailbox === undefined ? undefined : { mailbox, uid: whole(c, "uid", 0) };
    return c.json(await retention.withheld(id, maxListed, after));
  });
}

export function auditRoutes(app: Hono, ports: Ports, by: string): void {
  const { audit } = ports.store;
  app.get("/accounts/:address/reads", async (c) => {
    const { id } = need(ports, c.req.param("address"));
    const limit = Math.min(whole(c, "limit", 100), maxListed);
    const reads = await audit.readsOf(id, whole(c, "since", 0), limit);
    return c.json(
      reads.map(({ atMs, message, by: who, reason: why }) => {
        return { atMs, message, by: who, reason: why };
      }),
    );
  });
  app.post("/accounts/:address/messages/:id/read", async (c) => {
    const { id: account, address } = need(ports, c.req.param("address"));
    const message = c.req.param("id");
    const wish = await body(c, newRead);
    const who = wish.user === undefined ? by : `${by} (${wish.user})`;
    const octets = await audit.readByOther({ account, message, by: who, reason: wish.reason });
    if (octets === undefined) return c.notFound();
    ports.events.adminActed(`read message ${message} of ${address}`, who);
    return c.body(new Uint8Array(octets), 200, { "content-type": "application/octet-stream" });
  });
}

/** @throws HTTPException 404 */
function need({ directory }: Ports, address: string): Person {
  const person = directory.personByAddress(address);
  if (person === undefined) throw new HTTPException(404, { message: `no account ${address}` });
  return person;
}

function query(c: Context): { readonly account: string; readonly mailbox: string } {
  const { account, mailbox } = c.req.query();
  if (account === undefined || mailbox === undefined) {
    throw new HTTPException(400, { message: "account and mailbox name the rule" });
  }
  return { account, mailbox };
}
