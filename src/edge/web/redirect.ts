/** The plain HTTP port: leads to HTTPS and knows nothing else. */

import { type CompiledPolicy, ownHeaders, parseTarget } from "#proxy";
import type { Incoming } from "./incoming.ts";

/** @param policy answers only for its hosts, so that nobody is led elsewhere */
export function makeRedirect(
  policy: () => CompiledPolicy,
  httpsPort: () => number,
): (incoming: Incoming) => void {
  return (incoming) => {
    const { method, target, headers } = incoming.head;
    const host = headers.find(([name]) => name === "host")?.[1] ?? "";
    const name = host.toLowerCase().replace(/:\d{1,5}$/, "");
    const port = httpsPort() === 443 ? "" : `:${httpsPort()}`;
    const known = policy().rulesOf(`${name}${port}`) ?? policy().rulesOf(name);
    const read = parseTarget(target);
    if (known === undefined || !read.ok || (method !== "GET" && method !== "HEAD")) {
      return refuse(incoming, known === undefined ? 421 : 400);
    }
    // The path only: a query may hold something that was not meant for a wire in the clear.
    const location = `https://${name}${port}${read.value.path}`;
    incoming.answer(308, ownHeaders([["location", location], closes]), 0, nothing);
  };
}

const closes = ["connection", "close"] as const;
const nothing = new Uint8Array(0);

function refuse(incoming: Incoming, status: number): void {
  incoming.answer(status, ownHeaders([closes]), 0, nothing);
}
