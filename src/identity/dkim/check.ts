/** The DKIM signatures of a message, each with its verdict (RFC 6376 §6, RFC 8301, RFC 8463). */

import assert from "node:assert/strict";
import type { Resolver } from "#base/dns";
import { type Field, fields, type Header } from "#formats/message";
import type { TagList } from "#formats/tag-list";
import type { DkimResult, DkimVerdict } from "#model/verdict";
import { coverageOf } from "./coverage.ts";
import { type BodyDigests, maxSignatures } from "./digests.ts";
import { CanonicalHeader } from "./header.ts";
import { isDomain, isExpired, type MessageSignature } from "./signature.ts";
import { checkSignature } from "./verify.ts";

/** What a check needs of a message: its header, and the finished digests of its body. */
export interface CheckedMessage {
  readonly header: Header;
  readonly digests: BodyDigests;
}

export interface DkimPorts {
  readonly resolver: Resolver;
  readonly nowMs: number;
}

/** Ours: so far may the signer's clock be ahead. Seconds. */
const skewSeconds = 4 * 3600;

/**
 * One verdict for each signature in the order of the header, of the first ten; one "none" when there
 * is no signature. Never rejects, whatever message and DNS say.
 */
export async function checkDkim(
  message: CheckedMessage,
  ports: DkimPorts,
): Promise<readonly DkimVerdict[]> {
  const found = fields(message.header, "DKIM-Signature");
  if (found.length === 0) {
    return [{ ...namesIn(undefined), result: "none", why: "there is no signature" }];
  }
  const canonical = new CanonicalHeader(message.header);
  const verdicts = await Promise.all(
    found
      .slice(0, maxSignatures)
      .map((field) => checkField(field, { ...message, canonical }, ports)),
  );
  const rest = found.length - maxSignatures;
  return rest <= 0
    ? verdicts
    : verdicts.map((verdict, index) =>
        index < verdicts.length - 1
          ? verdict
          : { ...verdict, why: `${verdict.why}; ${rest} more signatures were not looked at` },
      );
}

type Names = Pick<
  DkimVerdict,
  "method" | "domain" | "selector" | "identity" | "algorithm" | "mark"
>;

/** As far as they can be read. RFC 6008 §4: at least eight characters tell signatures apart. */
function namesIn(tags: TagList | undefined): Names {
  const get = (name: string): string => tags?.get(name) ?? "";
  const domain = isDomain(get("d")) ? get("d").toLowerCase() : "";
  return {
    method: "dkim",
    domain,
    selector: isDomain(get("s")) ? get("s") : "",
    identity: get("i").slice(0, 320) || (domain === "" ? "" : `@${domain}`),
    algorithm: get("a").slice(0, 40),
    mark: get("b").replace(/\s/g, "").slice(0, 8), // where anybody may put as much as he likes
  };
}

interface Checked extends CheckedMessage {
  readonly canonical: CanonicalHeader;
}

async function checkField(field: Field, message: Checked, ports: DkimPorts): Promise<DkimVerdict> {
  const { tags, signature } = message.digests.read.get(field) ?? assert.fail("another header");
  const names = namesIn(typeof tags === "string" ? undefined : tags);
  const refuse = (result: DkimResult, why: string): DkimVerdict => ({ ...names, result, why });
  if (message.header.truncated) return refuse("neutral", "the header is too large to be judged");
  if (typeof signature === "string") return refuse("permerror", signature);
  const fault = dkimFault(signature, names.identity) ?? timeFault(signature, ports.nowMs);
  if (fault !== undefined) return refuse("permerror", fault);

  const { canonical, digests } = message;
  const signed = (): Buffer => canonical.signed(signature.names, field, signature.headerForm);
  const outcome = await checkSignature(signature, signed, ports.resolver);
  const testing = outcome.testing ? { testing: true } : {};
  const judge = (result: DkimResult, why: string): DkimVerdict => ({
    ...refuse(result, why),
    ...testing,
  });
  if (outcome.strict && domainOf(names.identity) !== signature.domain) {
    return judge("permerror", "the key does not allow subdomains in i= (t=s)");
  }
  if (outcome.result === "temperror" || outcome.result === "permerror") {
    return judge(outcome.result, outcome.why);
  }
  const body = digests.digestFor(signature);
  if (body === undefined) return judge("permerror", "the body is shorter than l= says");
  if (body.hash !== signature.bodyHash) return judge("fail", "the body was changed");
  if (outcome.result !== "pass") return judge(outcome.result, outcome.why);
  const { gap, unsignedFields } = coverageOf(signature, canonical, body);
  const early = (signature.signedAtSeconds ?? 0) - ports.nowMs / 1000;
  if (early > skewSeconds) return judge("policy", "t= lies in the future"); // §3.5: MAY be ignored
  if (gap !== "") return judge("policy", gap);
  const open = unsignedFields.length === 0 ? "" : `, but not ${unsignedFields.join(", ")}`;
  return judge("pass", `signed by ${signature.domain}${open}`);
}

/** What makes a readable signature none for DKIM (§6.1.1), in words. */
function dkimFault(signature: MessageSignature, identity: string): string | undefined {
  const { tags, names, domain } = signature;
  if (tags.get("v") !== "1") return "v= is not 1";
  if (!names.includes("from")) return "From is not signed";
  const methods = (tags.get("q") ?? "dns/txt").split(":").map((one) => one.trim());
  if (!methods.includes("dns/txt")) return "q= is not known";
  const own = domainOf(identity);
  if (own !== domain && !own.endsWith(`.${domain}`)) return "i= is not within d=";
  return undefined;
}

/** Behind the last "@", in lower case; "" when that is no domain. */
function domainOf(identity: string): string {
  const at = identity.lastIndexOf("@");
  const domain = identity.slice(at + 1).toLowerCase();
  return at >= 0 && isDomain(domain) ? domain : "";
}

function timeFault(signature: MessageSignature, nowMs: number): string | undefined {
  const { signedAtSeconds = -1, expiresAtSeconds } = signature;
  if ((expiresAtSeconds ?? Number.POSITIVE_INFINITY) <= signedAtSeconds)
    return "x= is not after t=";
  return isExpired(signature, nowMs) ? "the signature has expired" : undefined; // §6.1.1
}
