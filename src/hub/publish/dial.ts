/** Connections to one application: TLS with a certificate that is always checked, or plain by waiver. */

import { readFileSync } from "node:fs";
import { connect as connectPlain, isIP, type Socket } from "node:net";
import { connect, createSecureContext, getCACertificates, rootCertificates } from "node:tls";
import { Misconfigured } from "#base/errors";
import type { PublishedUpstream } from "./settings.ts";

export interface Dialled {
  readonly socket: Socket;
  /** The event that says it may be used. */
  readonly ready: "connect" | "secureConnect";
}

export type Dial = () => Dialled;

/** @throws Misconfigured when the file with the authorities cannot be read or holds none */
export function dialler(application: PublishedUpstream): Dial {
  const url = new URL(application.upstream);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
  if (url.protocol === "http:") {
    return () => ({ socket: connectPlain({ host, port, noDelay: true }), ready: "connect" });
  }
  const secureContext = createSecureContext({
    ca: authorities(application),
    minVersion: "TLSv1.2",
  });
  return () => {
    const socket = connect({
      host,
      port,
      secureContext,
      rejectUnauthorized: true,
      // An address is no server name (RFC 6066 §3); the certificate must hold it all the same.
      ...(isIP(host) === 0 && { servername: host }),
      ALPNProtocols: ["http/1.1"],
    });
    socket.setNoDelay(true);
    return { socket, ready: "secureConnect" };
  };
}

function authorities({ name, caFile }: PublishedUpstream): string[] {
  if (caFile === "") {
    const system = getCACertificates("system");
    return system.length > 0 ? system : [...rootCertificates];
  }
  let text: string;
  try {
    text = readFileSync(caFile, "utf8");
  } catch (error) {
    throw new Misconfigured(`publish.${name}.caFile: cannot read ${caFile}`, { cause: error });
  }
  if (!text.includes("-----BEGIN CERTIFICATE-----")) {
    throw new Misconfigured(`publish.${name}.caFile: ${caFile} holds no certificate`);
  }
  return [text];
}
