/** PEM files that connectors name, read when the hub starts. */

import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { errorCode } from "#base/disk";
import { Misconfigured } from "#base/errors";
import type { OutboundConnector } from "#model/connector";

/**
 * Puts PEM where the settings have names of files: a private key never lies in a settings file.
 *
 * @throws Misconfigured that names the key and the file when one cannot be read or is something else
 */
export function readConnectorFiles(connector: OutboundConnector): OutboundConnector {
  const { authorities, client, ...tls } = connector.tls;
  const read = (key: string, file: string, check: (pem: string) => unknown): string =>
    readPem(`outbound.${connector.name}.${key}`, file, check);
  return {
    ...connector,
    tls: {
      ...tls,
      ...(authorities && {
        authorities: authorities.map((file) => read("tlsAuthorityFile", file, certificateIn)),
      }),
      ...(client && {
        client: {
          certificate: read("tlsCertificateFile", client.certificate, certificateIn),
          key: read("tlsKeyFile", client.key, createPrivateKey),
        },
      }),
    },
  };
}

function certificateIn(pem: string): X509Certificate {
  return new X509Certificate(pem);
}

function readPem(key: string, file: string, check: (pem: string) => unknown): string {
  let pem: string;
  try {
    pem = readFileSync(file, "utf8");
  } catch (error) {
    const code = errorCode(error) ?? "error";
    const why = code === "ENOENT" ? "is not there" : `cannot be read (${code})`;
    throw new Misconfigured(`${key} is ${file}, which ${why}`, { cause: error });
  }
  try {
    check(pem);
  } catch (error) {
    throw new Misconfigured(`${key} is ${file}, which holds no such PEM`, { cause: error });
  }
  return pem;
}
