/** How people sign in and where they are signed in: the administrator's side. */

import type { Context, Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import * as v from "valibot";
import type { Person } from "#contracts/directory";
import { type Factor, withoutFactor } from "#directory";
import type { AdminPorts } from "./admin.ts";
import { body } from "./admin-input.ts";
import { shown } from "./web/account.ts";

const newAppPassword = v.strictObject({
  name: v.pipe(v.string(), v.trim(), v.minLength(1), v.maxLength(64)),
});

type Ports = Pick<AdminPorts, "directory" | "events" | "signIn">;

/** Every change of factors is in the ledger with who made it; sessions are not kept there. */
export function factorRoutes(app: Hono, ports: Ports, by: string): void {
  const { directory, events, signIn } = ports;
  const personOf = (c: Context): Person => {
    const person = directory.personByAddress(c.req.param("address") ?? "");
    if (person === undefined) throw new HTTPException(404, { message: "there is no such account" });
    return person;
  };
  const done = (c: Context, what: string): Response => {
    events.adminActed(what, by);
    return c.json({ done: what });
  };
  app.get("/accounts/:address/factors", (c) => c.json(shown(directory.factors(personOf(c).id))));
  app.delete("/accounts/:address/factors", async (c) => {
    const { id, address } = personOf(c);
    await directory.changeFactors(id, by, () => []);
    signIn.signOut(id);
    return done(c, `remove all factors of ${address}`);
  });
  app.delete("/accounts/:address/factors/:id", async (c) => {
    const { id, address } = personOf(c);
    const which = c.req.param("id");
    let removed: Factor | undefined;
    const isDone = await directory.changeFactors(id, by, (factors) => {
      removed = factors.find((one) => one.id === which);
      return removed && withoutFactor(factors, which);
    });
    if (!isDone) throw new HTTPException(404, { message: `${address} has no factor ${which}` });
    // What an app password holds ends by itself, and nothing else depends on it.
    if (removed?.kind !== "app-password") signIn.signOut(id);
    return done(c, `remove factor ${which} of ${address}`);
  });
  app.post("/accounts/:address/app-passwords", async (c) => {
    const person = personOf(c);
    const { name } = await body(c, newAppPassword);
    const made = await signIn.service.makeAppPassword({ person }, name, by);
    if (!made.ok) throw new HTTPException(409, { message: `${person.address} has too many` });
    events.adminActed(`make app password "${name}" of ${person.address}`, by);
    return c.json(made.value);
  });
  app.get("/accounts/:address/sessions", (c) => c.json(signIn.sessions.list(personOf(c).id)));
  app.delete("/accounts/:address/sessions", (c) => {
    const { id, address } = personOf(c);
    signIn.signOut(id);
    return done(c, `end all sessions of ${address}`);
  });
  app.delete("/accounts/:address/sessions/:id", (c) => {
    const { id, address } = personOf(c);
    const which = c.req.param("id");
    if (!signIn.sessions.revokeOne(id, which)) {
      throw new HTTPException(404, { message: `${address} has no session ${which}` });
    }
    return done(c, `end session ${which} of ${address}`);
  });
}
