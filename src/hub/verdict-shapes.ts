/** Verdicts as they come from an edge: only methods that an edge can know something of. */

import type {
  ArcVerdict,
  DkimVerdict,
  DmarcVerdict,
  SenderIdVerdict,
  SpfVerdict,
  Verdict,
} from "#model/verdict";
import { senderIdStatuses } from "#model/verdict";
import { isBoolean, list, nothing, object, oneBy, oneOf, type Shape, text } from "./shape.ts";

const words = text(4096);
const domain = text(255);
const spfResult = oneOf("none", "neutral", "pass", "fail", "softfail", "temperror", "permerror");
const policy = oneOf("none", "quarantine", "reject");

const spf = object<SpfVerdict>(
  {
    method: oneOf("spf"),
    result: spfResult,
    domain,
    identity: oneOf("mailfrom", "helo"),
    why: words,
  },
  { explanation: words },
);

const senderId = object<SenderIdVerdict>(
  {
    method: oneOf("sender-id"),
    result: spfResult,
    status: oneOf(...senderIdStatuses),
    class: oneOf("listed", "not-listed", "no-list"),
    domain: text(1000),
    why: words,
  },
  {
    pra: text(1000),
    praHeader: oneOf("Resent-Sender", "Resent-From", "Sender", "From", "MAIL FROM"),
  },
);

const dkim = object<DkimVerdict>(
  {
    method: oneOf("dkim"),
    result: oneOf("none", "pass", "fail", "policy", "neutral", "temperror", "permerror"),
    domain,
    selector: domain,
    identity: text(1000),
    algorithm: text(100),
    mark: text(20),
    why: words,
  },
  { testing: isBoolean },
);

const arc = object<ArcVerdict>(
  {
    method: oneOf("arc"),
    result: oneOf("none", "pass", "fail", "temperror"),
    sealers: list(domain, 50),
    trusted: isBoolean,
    why: words,
  },
  { saw: object<NonNullable<ArcVerdict["saw"]>>({ dmarc: text(100), fromDomain: domain }) },
);

const dmarc = object<DmarcVerdict>(
  {
    method: oneOf("dmarc"),
    result: oneOf("none", "pass", "fail", "temperror", "permerror"),
    fromDomain: domain,
    spfAligned: isBoolean,
    dkimAligned: list(domain, 10),
    why: words,
  },
  {
    policyDomain: domain,
    organizationalDomain: domain,
    policy,
    published: policy,
    policyTag: oneOf("p", "sp", "np"),
  },
);

/** By method. Nobody logs in at an edge, and what all adds up to is found out inside. */
const shapes: Readonly<Record<Verdict["method"], Shape>> = {
  spf,
  "sender-id": senderId,
  dkim,
  arc,
  dmarc,
  auth: nothing,
  connector: nothing,
  sender: nothing,
  spam: nothing,
};

export const edgeVerdict: Shape = oneBy("method", shapes);
