/** Who a client is, as far as its address, its certificate and its login tell. */

import type { TlsFacts } from "#model/connection";
import type { Session } from "./session.ts";

/** Called when something about the client is known that was not before. */
export function identify(session: Session): void {
  const { peers } = session.core.options;
  if (peers === undefined) return;
  session.peer = peers.rules(session.connection, session.shown);
  const { connector, proof } = session.peer;
  if (connector === undefined && session.connection.connector === undefined) return;
  const { connector: _, tls, ...connection } = session.connection;
  session.connection = {
    ...connection,
    ...(connector !== undefined && { connector }),
    ...(tls && { tls: withProof(tls, proof) }),
  };
}

/** What stood against the pins of one connector says nothing of another that it comes by since. */
function withProof(tls: TlsFacts, proof: TlsFacts["proof"]): TlsFacts {
  const { proof: _, ...facts } = tls;
  return proof === undefined ? facts : { ...facts, proof };
}

export function handshakeFailed(session: Session, error: NodeJS.ErrnoException): void {
  const { events } = session.core;
  const { clientAddress } = session.connection;
  events.handshakeFailed(error.code ?? "error", clientAddress, session.peer.floor);
}
