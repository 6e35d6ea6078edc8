/** An HTTP relay before a real service, that fails when the test says so. */

import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";

export type Fault =
  /** Answers itself, and the service never hears of it. */
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
  /** Cuts the connection after so many octets of the service's answer. */
  | { readonly cutAfterBytes: number }
  /** Passes the request on and keeps the answer to itself. */
  | "lose-answer"
  /** Never answers. */
  | "silence";

export interface FaultRelay extends AsyncDisposable {
  readonly port: number;
  /** Asked for each request; undefined lets it pass. */
  fault: (method: string, url: URL) => Fault | undefined;
  /** "METHOD path?query" of each request so far. */
  readonly seen: string[];
}

/** @param tls speaks HTTPS with this certificate and key */
export async function startFaultRelay(
  servicePort: number,
  tls?: { readonly cert: string; readonly key: string },
): Promise<FaultRelay> {
  const answer = (from: IncomingMessage, to: ServerResponse): void => {
    const method = from.method ?? "";
    relay.seen.push(`${method} ${from.url}`);
    const fault = relay.fault(method, new URL(from.url ?? "/", "http://relay"));
    if (fault === "silence") return;
    if (typeof fault === "object" && "status" in fault) {
      from.resume().once("end", () => {
        to.writeHead(fault.status, fault.headers).end(fault.body);
      });
      return;
    }
    passOn(from, to, servicePort, fault);
  };
  const server = tls === undefined ? createServer(answer) : createSecureServer(tls, answer);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const relay: FaultRelay = {
    port: typeof address === "object" && address !== null ? address.port : 0,
    fault: () => undefined,
    seen: [],
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
  return relay;
}

function passOn(
  from: IncomingMessage,
  to: ServerResponse,
  port: number,
  fault: Fault | undefined,
): void {
  const { method, url, headers } = from;
  const onward = request({ host: "127.0.0.1", port, method, path: url, headers }, (answer) => {
    if (fault === "lose-answer") {
      answer.resume().once("end", () => to.destroy());
      return;
    }
    to.writeHead(answer.statusCode ?? 502, answer.headers);
    let leftBytes =
      typeof fault === "object" && "cutAfterBytes" in fault ? fault.cutAfterBytes : Infinity;
    answer.on("data", (chunk: Buffer) => {
      if (leftBytes <= 0) return; // what comes until the cut would stand in the wrong place
      const fitting = chunk.subarray(0, leftBytes);
      leftBytes -= fitting.length;
      to.write(fitting, () => {
        if (leftBytes <= 0) to.destroy();
      });
    });
    answer.once("end", () => void to.end());
  });
  // Swift sends an empty chunk behind the answer to a HEAD: an error, but of nobody any more.
  onward.on("error", () => {
    if (!to.headersSent) to.destroy();
  });
  to.once("close", () => onward.destroy());
  from.pipe(onward);
}
