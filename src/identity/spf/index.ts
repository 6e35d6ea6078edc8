/** SPF: may this client send mail for this domain? (RFC 7208). Pure; the DNS is an argument. */

export { checkSpf, type SpfQuestion } from "./check.ts";
