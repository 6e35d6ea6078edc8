/** The plain HTTP port: leads to HTTPS and knows nothing else. */

import { createServer, type Server } from "node:http";
import { ownHeaders, parseTarget } from "#proxy";

/** @param published answers only for these names, so that nobody is led elsewhere */
export function makeRedirect(
  published: (host: string) => boolean,
  httpsPort: () => number,
): Server {
  const server = createServer({
    maxHeaderSize: 8192,
    headersTimeout: 10_000,
    requestTimeout: 10_000,
  });
  server.maxConnections = 500;
  server.timeout = 10_000;
  server.on("request", (request, response) => {
    const name = (request.headers.host ?? "").toLowerCase().replace(/:\d+$/, "");
    const port = httpsPort() === 443 ? "" : `:${httpsPort()}`;
    const target = parseTarget(request.url ?? "");
    const known = published(name) || published(`${name}${port}`);
    const reading = request.method === "GET" || request.method === "HEAD";
    if (!known || !target.ok || !reading) {
      response.writeHead(
        known ? 400 : 421,
        ownHeaders({ "content-length": "0", connection: "close" }),
      );
      response.end();
      return;
    }
    // The path only: a query may hold something that was not meant for a wire in the clear.
    response.writeHead(308, {
      ...ownHeaders({ "content-length": "0", connection: "close" }),
      location: `https://${name}${port}${target.value.path}`,
    });
    response.end();
  });
  return server;
}
