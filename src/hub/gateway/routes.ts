/** Gateways: the administrator's side. */

import type { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import * as v from "valibot";
import type { DirectoryAdmin } from "#directory";
import { parseMailbox } from "#formats/address";
import { body } from "../admin-input.ts";
import type { Gateways, Told } from "./index.ts";

const wished = v.strictObject({ address: v.pipe(v.string(), v.trim(), v.maxLength(320)) });

export interface GatewayRoutePorts {
  readonly gateways: Gateways;
  readonly directory: Pick<DirectoryAdmin, "accounts" | "aliases">;
}

export function gatewayRoutes(app: Hono, { gateways, directory }: GatewayRoutePorts): void {
  app.get("/gateways", (c) => c.json(gateways.states()));
  app.post("/gateways/ask", async (c) => {
    const { address } = await body(c, wished);
    if (!parseMailbox(address, true).ok) {
      throw new HTTPException(400, { message: `"${address}" is no address` });
    }
    const told = hereAsked(address, { gateways, directory }) ?? (await gateways.askAnew(address));
    if (told === undefined) {
      throw new HTTPException(404, { message: `no gateway is for the domain of ${address}` });
    }
    return c.json(told);
  });
}

/** An account or alias here goes before the server inside, which is not asked for it. */
function hereAsked(address: string, { gateways, directory }: GatewayRoutePorts): Told | undefined {
  const wanted = address.toLowerCase();
  const domain = wanted.slice(wanted.lastIndexOf("@") + 1);
  const gateway = gateways.states().find(({ domains }) => domains.includes(domain));
  if (gateway === undefined) return undefined;
  const isWanted = (one: { readonly address: string }): boolean =>
    one.address.toLowerCase() === wanted;
  const isAccount = directory.accounts().some(isWanted);
  if (!isAccount && !directory.aliases().some(isWanted)) return undefined;
  const { name, recipients } = gateway;
  const here = isAccount ? "account" : "alias";
  return { gateway: name, recipients, answer: "known", trouble: "", here };
}
