/** Connectors: the administrator's side. */

import type { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import * as v from "valibot";
import type { Clock } from "#base/clock";
import { parseAddressLiteral, parseDomain } from "#formats/address";
import type { InboundConnector, OutboundConnector } from "#model/connector";
import { body } from "./admin-input.ts";
import { connectorFacts, type Health, type Probe, withDefault } from "./connectors/index.ts";

const wished = v.strictObject({ domain: v.pipe(v.string(), v.maxLength(320)) });

export interface ConnectorPorts {
  readonly settings: {
    readonly outbound: readonly OutboundConnector[];
    readonly inbound: readonly InboundConnector[];
  };
  readonly clock: Clock;
  readonly connectors: {
    readonly health: Pick<Health, "of">;
    readonly probe: (connector: OutboundConnector, domain: string) => Promise<Probe>;
  };
}

export function connectorRoutes(app: Hono, ports: ConnectorPorts): void {
  const { settings, clock, connectors } = ports;
  const facts = () => connectorFacts({ ...settings, health: connectors.health }, clock.nowMs());
  app.get("/connectors", (c) => c.json(facts()));
  app.get("/connectors/:name", (c) => {
    const wanted = c.req.param("name");
    const found = facts().filter(({ name }) => name === wanted);
    if (found.length === 0) throw new HTTPException(404, { message: `no connector ${wanted}` });
    return c.json(found);
  });
  app.post("/connectors/:name/test", async (c) => {
    const wish = await body(c, wished);
    const domain = parseDomain(wish.domain, true) ?? parseAddressLiteral(wish.domain);
    if (domain === null) throw new HTTPException(400, { message: `"${wish.domain}" is no domain` });
    const name = c.req.param("name");
    const connector = withDefault(settings.outbound).find((one) => one.name === name);
    if (connector === undefined) {
      throw new HTTPException(404, { message: `there is no outbound connector ${name}` });
    }
    return c.json(await connectors.probe(connector, domain));
  });
}
