/** X.509 certificates: made from facts with somebody else's signature, and read (RFC 5280). */

export { type CertificateExtensions, readExtensions } from "./extensions.ts";
export { certificateFingerprint } from "./fingerprint.ts";
export { type CertificateFacts, formatCertificate, type KeyUsage } from "./format.ts";
export { type CertificateFault, type CertificateParts, parseCertificate } from "./parse.ts";
export { formatPem, parsePem } from "./pem.ts";
export { formatRequest, type RequestFacts } from "./request.ts";
