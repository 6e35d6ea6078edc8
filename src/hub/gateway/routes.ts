/** Gateways: the administrator's side. */

import type { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import * as v from "valibot";
import { parseMailbox } from "#formats/address";
import { body } from "../admin-input.ts";
import type { Gateways } from "./index.ts";

const wished = v.strictObject({ address: v.pipe(v.string(), v.trim(), v.maxLength(320)) });

export function gatewayRoutes(app: Hono, { gateways }: { readonly gateways: Gateways }): void {
  app.get("/gateways", (c) => c.json(gateways.states()));
  app.post("/gateways/ask", async (c) => {
    const { address } = await body(c, wished);
    if (!parseMailbox(address, true).ok) {
      throw new HTTPException(400, { message: `"${address}" is no address` });
    }
    const told = await gateways.askAnew(address);
    if (told === undefined) {
      throw new HTTPException(404, { message: `no gateway is for the domain of ${address}` });
    }
    return c.json(told);
  });
}
