/** HTTPS to the ACME server: through the edge's egress tunnel, or directly where it stands inside. */

import { Agent as HttpAgent } from "node:http";
import { Agent, type AgentOptions } from "node:https";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect, type TLSSocket } from "node:tls";
import type { Endpoint } from "#base/net";

/** Opens a TCP connection, wherever it starts from. */
export type Dial = (to: Endpoint) => Promise<Duplex>;

type Callback = (error: Error | null, socket?: Duplex) => void;

/** TLS begins here and ends at the server: whoever carries the octets can neither read nor change. */
class TunnelAgent extends Agent {
  readonly #dial: Dial;
  readonly #ca: string | undefined;

  constructor(dial: Dial, options: AgentOptions & { readonly ca?: string }) {
    super(options);
    this.#dial = dial;
    this.#ca = options.ca;
  }

  override createConnection(
    options: { readonly host?: string; readonly port?: number | string },
    callback: Callback,
  ): undefined {
    const host = options.host ?? "";
    this.#dial({ host, port: Number(options.port ?? 443) }).then(
      (tunnel) => callback(null, this.#secure(tunnel, host)),
      (error: Error) => callback(error),
    );
    return undefined;
  }

  #secure(tunnel: Duplex, host: string): TLSSocket {
    const ca = this.#ca;
    return connect({
      socket: tunnel,
      host,
      // RFC 6066 §3: an address is no server name.
      ...(isIP(host) === 0 && { servername: host }),
      ...(ca !== undefined && { ca }),
      minVersion: "TLSv1.2",
      ALPNProtocols: ["http/1.1"],
    });
  }
}

/** @param dial absent: the hub itself dials */
export function acmeAgent(dial: Dial | undefined, ca: string | undefined): Agent {
  const options = { keepAlive: false, ...(ca !== undefined && { ca }) };
  return dial === undefined ? new Agent(options) : new TunnelAgent(dial, options);
}

/** For URLs without TLS, whoever sent us there: nothing goes out. */
export class NoAgent extends HttpAgent {
  override createConnection(_options: object, callback: Callback): undefined {
    callback(new Error("ACME without TLS is refused"));
    return undefined;
  }
}
