/** TLS on the server's side of a connection, and what it came to. */

import { Buffer } from "node:buffer";
import { createHash, type X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type SecureContext, TLSSocket } from "node:tls";
import { parseDer, tag } from "#formats/der";
import type { Connection, TlsFacts } from "#model/connection";
import { groupName } from "./groups.ts";
import type { ChannelBinding, ShownCertificate } from "./types.ts";

/**
 * Emits "secure" when the handshake is done; a failed one ends in "error" and "close".
 *
 * @param asksCertificate the client may show one or not; whoever knows it judges it
 */
export function serverTls(
  plain: Duplex,
  secureContext: SecureContext | undefined,
  asksCertificate: boolean,
): TLSSocket {
  return new TLSSocket(plain as Socket, {
    isServer: true,
    ...(asksCertificate && { requestCert: true, rejectUnauthorized: false }),
    ...(secureContext !== undefined && { secureContext }),
  });
}

export function shownCertificate(stream: TLSSocket): ShownCertificate | undefined {
  const certificate: X509Certificate | undefined = stream.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  const key = certificate.publicKey.export({ type: "spki", format: "der" });
  return { sha256: sha256(certificate.raw), keySha256: sha256(key) };
}

function sha256(octets: Uint8Array): string {
  return createHash("sha256").update(octets).digest("hex");
}

/** RFC 3207 §4.2: what was said before TLS is forgotten. */
export function insideTls(
  before: Connection,
  stream: TLSSocket,
  shown: ShownCertificate | undefined,
): Connection {
  const { listener, clientAddress, clientPort, viaProxy } = before;
  const same = { listener, clientAddress, clientPort, ...(viaProxy && { viaProxy }) };
  return { ...same, helo: "", extended: false, tls: tlsFacts(stream, shown) };
}

function tlsFacts(stream: TLSSocket, shown: ShownCertificate | undefined): TlsFacts {
  const { standardName, name } = stream.getCipher();
  const group = groupOf(stream.getSession());
  return {
    version: stream.getProtocol() ?? "TLS",
    cipher: standardName ?? name,
    ...(group !== undefined && { group }),
    ...(shown !== undefined && { peerCertificate: shown.sha256 }),
  };
}

/** Where OpenSSL writes the group into a session: [19] EXPLICIT INTEGER. */
const groupTag = 0xb3;

/**
 * Node names the group to clients alone; a server finds it in what OpenSSL would keep of the session.
 *
 * @param session DER; a shape that is not known gives no name
 */
export function groupOf(session: Uint8Array | undefined): string | undefined {
  const whole = session === undefined ? undefined : parseDer(session);
  if (!whole?.ok) return undefined;
  const number = whole.value.children.find((one) => one.tag === groupTag)?.children[0];
  if (number?.tag !== tag.integer || number.content.length > 4) return undefined;
  return groupName(number.content.reduce((sum, octet) => sum * 256 + octet, 0));
}

/** TLS 1.2 gives none that is safe without an extension that Node does not show (RFC 9266 §4.2). */
export function channelBindingOf(stream: TLSSocket): ChannelBinding | undefined {
  if (stream.getProtocol() !== "TLSv1.3") return undefined;
  const data: Buffer = stream.exportKeyingMaterial(32, "EXPORTER-Channel-Binding", noContext);
  return { type: "tls-exporter", data };
}

const noContext: Buffer = Buffer.alloc(0);
