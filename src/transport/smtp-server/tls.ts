/** TLS on the server's side of a connection, and what it came to. */

import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type SecureContext, TLSSocket } from "node:tls";
import type { Connection, TlsFacts } from "#model/connection";

/** Emits "secure" when the handshake is done; a failed one ends in "close". */
export function serverTls(plain: Duplex, secureContext: SecureContext | undefined): TLSSocket {
  return new TLSSocket(plain as Socket, {
    isServer: true,
    ...(secureContext !== undefined && { secureContext }),
  });
}

function tlsFacts(stream: TLSSocket): TlsFacts {
  const { standardName, name } = stream.getCipher();
  return { version: stream.getProtocol() ?? "TLS", cipher: standardName ?? name };
}

/** RFC 3207 §4.2: what was said before TLS is forgotten. */
export function insideTls(before: Connection, stream: TLSSocket): Connection {
  const { listener, clientAddress, clientPort, viaProxy } = before;
  const same = { listener, clientAddress, clientPort, ...(viaProxy && { viaProxy }) };
  return { ...same, helo: "", extended: false, tls: tlsFacts(stream) };
}
