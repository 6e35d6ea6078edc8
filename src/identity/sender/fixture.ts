/** Facts and verdicts for the tests of this folder. */

import type {
  ArcVerdict,
  DkimVerdict,
  DmarcVerdict,
  Partner,
  SenderIdVerdict,
  SpfVerdict,
  Verdict,
} from "#model/verdict";
import { lookAlikes, type SenderFacts } from "./index.ts";

export const ours = "ours.example";

export function from(address: string, name: string | null = null): SenderFacts["author"] {
  const at = address.lastIndexOf("@");
  const [localPart, domain] = [address.slice(0, at), address.slice(at + 1)];
  return { kind: "one", address, localPart, domain, name };
}

export function facts(
  address: string,
  verdicts: readonly Verdict[],
  more: Partial<SenderFacts> = {},
): SenderFacts {
  return {
    author: from(address),
    verdicts,
    source: "direct",
    isOurs: (domain) => domain === ours || domain.endsWith(`.${ours}`),
    known: lookAlikes([ours, "example.com"]),
    isNameOfOurs: () => false,
    subject: "",
    textSample: "",
    replyTo: [],
    isList: false,
    isFirstContact: false,
    ...more,
  };
}

export function spf(result: SpfVerdict["result"], domain: string): SpfVerdict {
  return { method: "spf", result, domain, identity: "mailfrom", why: "" };
}

export function dkim(result: DkimVerdict["result"], domain: string): DkimVerdict {
  const [selector, algorithm] = ["s", "rsa-sha256"];
  return { method: "dkim", result, domain, selector, identity: "", algorithm, mark: "", why: "" };
}

export function dmarc(
  result: DmarcVerdict["result"],
  fromDomain: string,
  more: Partial<DmarcVerdict> = {},
): DmarcVerdict {
  return {
    method: "dmarc",
    result,
    fromDomain,
    spfAligned: false,
    dkimAligned: [],
    why: "",
    ...more,
  };
}

/** A chain of one trusted sealer. */
export function arc(seen: string, fromDomain: string, more: Partial<ArcVerdict> = {}): ArcVerdict {
  const saw = { dmarc: seen, fromDomain };
  const sealers = ["forwarder.example"];
  return { method: "arc", result: "pass", sealers, trusted: true, saw, why: "", ...more };
}

export function senderId(
  result: SenderIdVerdict["result"],
  sorted: SenderIdVerdict["class"],
  domain: string,
): SenderIdVerdict {
  const status = result === "fail" ? "not-permitted" : result;
  return { method: "sender-id", result, status, class: sorted, domain, why: "" };
}

export const partner: Partner = { connector: "acme", identity: "acme-mail", by: "login" };

export const partnerLogin: Verdict = {
  method: "auth",
  result: "pass",
  login: partner.identity,
  connector: partner.connector,
};

export const login: Verdict = { method: "auth", result: "pass", login: `a@${ours}` };
