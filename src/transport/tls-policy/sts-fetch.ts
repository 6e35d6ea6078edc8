/** Fetches a policy: HTTPS from the policy host, nothing else (RFC 8461 §3.3). */

import { request } from "node:http";
import type { TLSSocket } from "node:tls";
import { maxPolicyBytes, parseStsPolicy, type StsPolicy, stsHost, stsPath } from "#formats/mta-sts";
import type { StsFinding } from "./decide.ts";
import { CertificateFault, type HttpsPorts, withHttps } from "./https.ts";

export type Fetched =
  | { readonly ok: true; readonly policy: StsPolicy }
  | { readonly ok: false; readonly fault: NonNullable<StsFinding["fault"]>; readonly why: string };

const maxHeaderBytes = 16_384;

export async function fetchPolicy(domain: string, ports: HttpsPorts): Promise<Fetched> {
  const host = stsHost(domain);
  try {
    const parsed = parseStsPolicy(await withHttps(host, ports, (stream) => get(stream, host)));
    if (parsed.ok) return { ok: true, policy: parsed.value };
    const why = `the policy at ${host} cannot be read: ${parsed.fault}`;
    return { ok: false, fault: "sts-policy-invalid", why };
  } catch (error) {
    // The border: whatever a stranger's server does, there is no policy from it now.
    const fault =
      error instanceof CertificateFault ? "sts-webpki-invalid" : "sts-policy-fetch-error";
    const text = error instanceof Error ? error.message : String(error);
    return { ok: false, fault, why: text.replace(/[^\x20-\x7e]+/g, " ").slice(0, 300) };
  }
}

/** §3.3: 200 and text/plain, no redirect is followed. */
function get(stream: TLSSocket, host: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const asked = request({
      createConnection: () => stream,
      path: stsPath,
      headers: { host, accept: "text/plain", connection: "close" },
      maxHeaderSize: maxHeaderBytes,
      setHost: false,
    });
    asked.on("error", reject);
    asked.on("response", (response) => {
      const type = response.headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
      const { statusCode } = response;
      if (statusCode !== 200) return reject(new Error(`${host} answers ${statusCode}`));
      if (type !== "text/plain") return reject(new Error(`${host} sends no text/plain`));
      const pieces: Buffer[] = [];
      let sizeBytes = 0;
      response.on("data", (piece: Buffer) => {
        sizeBytes += piece.length;
        pieces.push(piece);
        if (sizeBytes <= maxPolicyBytes) return;
        reject(new Error(`the policy at ${host} is larger than ${maxPolicyBytes} octets`));
        stream.destroy();
      });
      response.on("end", () => resolve(Buffer.concat(pieces)));
      response.on("error", reject);
      response.on("close", () => reject(new Error(`${host} closed in the middle of the policy`)));
    });
    asked.end();
  });
}
