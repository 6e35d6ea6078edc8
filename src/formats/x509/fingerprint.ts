/** The name of a certificate among programs: the SHA-256 of its DER form, in hexadecimal. */

import { hash } from "node:crypto";
import { parsePem } from "./pem.ts";

/** Lower case, no colons. Of a PEM text, the first certificate counts. */
export function certificateFingerprint(certificate: string | Uint8Array): string {
  const der =
    typeof certificate === "string" ? parsePem("CERTIFICATE", certificate)[0] : certificate;
  return der === undefined ? "" : hash("sha256", der, "hex");
}
