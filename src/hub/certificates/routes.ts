/** What an administrator asks and does about certificates, over the admin socket. */

import type { Hono } from "hono";
import * as v from "valibot";
import { body } from "../admin-input.ts";
import { type Certificates, placeNames } from "./index.ts";

const pem = v.pipe(v.string(), v.minLength(1), v.maxLength(200_000));
const hostName = v.pipe(v.string(), v.minLength(1), v.maxLength(253));
const wishedRequest = v.strictObject({
  at: v.optional(v.picklist(["all", ...placeNames]), "all"),
  names: v.optional(v.pipe(v.array(hostName), v.minLength(1), v.maxLength(100))),
});
const wishedInstall = v.strictObject({ chainPem: pem, keyPem: v.optional(pem) });
const wishedOrder = v.strictObject({
  all: v.optional(v.boolean(), false),
  newAccount: v.optional(v.boolean(), false),
});

interface Ports {
  readonly certificates: Certificates;
  readonly events: { adminActed(what: string, by: string): void };
}

export function certificateRoutes(app: Hono, { certificates, events }: Ports, by: string): void {
  app.get("/pki", async (c) => c.json(await certificates.show()));
  app.post("/pki/request", async (c) => {
    const { at, names } = await body(c, wishedRequest);
    const made = await certificates.request(at, names);
    events.adminActed(`certificate request for ${made.names.join(" ")} at ${at}`, by);
    return c.json({ at, ...made });
  });
  app.post("/pki/install", async (c) => {
    const { chainPem, keyPem } = await body(c, wishedInstall);
    const outcomes = await certificates.install(chainPem, keyPem);
    const where = outcomes.filter(({ ok }) => ok).map(({ place }) => place);
    if (where.length > 0) events.adminActed(`install a certificate at ${where.join(" ")}`, by);
    return c.json(outcomes);
  });
  app.post("/pki/acme", async (c) => {
    const wish = await body(c, wishedOrder);
    events.adminActed("order certificates", by);
    return c.json(await certificates.order(wish));
  });
}
