/** Composition of edge-web: an HTTPS front without mailbox, directory or mail parser. */

import type { Server } from "node:net";
import type { Clock } from "#base/clock";
import { Misconfigured } from "#base/errors";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { Endpoint } from "#base/net";
import { section } from "#base/parameters";
import { publishedHosts, webParameters } from "#proxy";
import { webEvents } from "./events.ts";
import { makeExchange } from "./exchange.ts";
import { makeListener, readCertificate } from "./listener.ts";
import { makeRedirect } from "./redirect.ts";
import type { EdgeLinks } from "./relay.ts";
import type { EdgeWebSettings } from "./settings.ts";

export type { EdgeLinks } from "./relay.ts";
export type { EdgeWebSettings } from "./settings.ts";

export interface EdgeWebDeps {
  readonly links: EdgeLinks;
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
}

export interface EdgeWeb extends AsyncDisposable {
  readonly endpoint: Endpoint;
  readonly redirectEndpoint?: Endpoint;
  /** Reads the certificate files again; open connections keep what they have. */
  reloadCertificate(): void;
}

/** Resolves when it listens; the login form answers from then on, link or no link. */
export async function startEdgeWeb(settings: EdgeWebSettings, deps: EdgeWebDeps): Promise<EdgeWeb> {
  if (settings.publishedHosts.length === 0) throw new Misconfigured("web: no published host");
  const limits = section({ web: settings.limits ?? {} }, "web", webParameters);
  const events = webEvents(deps.log, deps.registry);
  let port = settings.listen.port;
  const published = publishedHosts(settings.publishedHosts, () => port);
  const exchange = makeExchange({ ...deps, events, limits, published });
  const server = makeListener(settings.tls, limits, events, exchange);
  const endpoint = await listening(server, settings.listen);
  port = endpoint.port;

  const { redirectListen } = settings;
  const redirect = redirectListen && makeRedirect(published, () => port);
  const redirectEndpoint = redirect && (await listening(redirect, redirectListen));
  return {
    endpoint,
    ...(redirectEndpoint !== undefined && { redirectEndpoint }),
    reloadCertificate: () => server.setSecureContext(readCertificate(settings.tls)),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      redirect?.closeAllConnections();
      await Promise.all([closed(server), redirect && closed(redirect)]);
    },
  };
}

function listening(server: Server, at: Endpoint): Promise<Endpoint> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: at.host, port: at.port, backlog: 1024 }, () => {
      server.off("error", reject);
      const bound = server.address();
      const port = typeof bound === "object" && bound !== null ? bound.port : at.port;
      resolve({ host: at.host, port });
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => void server.close(() => resolve()));
}
