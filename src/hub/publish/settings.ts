/** What an administrator says of one application that is published through the web edge. */

import { Misconfigured } from "#base/errors";
import type { Values } from "#base/parameters";
import type { PublishingRule } from "#model/publishing";

export const upstreamParameters = {
  upstream: {
    default: "",
    doc: "Where the application answers, as the hub reaches it: https://host or https://host:port, without a path.",
  },
  hostHeader: {
    default: "published",
    oneOf: ["published", "upstream"],
    doc: "The Host it is asked for: the published name that the client used, or the name in upstream.",
  },
  caFile: {
    default: "",
    doc: "PEM file with the authorities that its certificate may come from; empty: those of the system.",
  },
  plainWaiver: {
    default: false,
    doc: "Allow http:// to another machine: passwords and pages cross that network readable. A finding stands as long as it is true.",
  },
  signOn: {
    default: "none",
    oneOf: ["none", "basic", "header"],
    doc: "How the application learns who is signed in: not at all, by Basic with the password of the login, or by a header that only we can set.",
  },
  signOnHeader: {
    default: "X-Remote-User",
    doc: "For signOn header: its name. Whatever a client sends under it is removed.",
  },
  publicDownloads: {
    default: true,
    doc: "Whether attachments may be downloaded to a computer that was called public at login.",
  },
  maxConnections: {
    default: 128,
    unit: "count",
    min: 1,
    max: 10_000,
    doc: "Connections to the application at once; further requests wait. Raise for applications that hold requests open (push, WebSocket).",
  },
  connectTimeoutMs: {
    default: 10_000,
    unit: "ms",
    min: 100,
    max: 120_000,
    doc: "How long a connection to it may take, TLS included.",
  },
  answerTimeoutMs: {
    default: 120_000,
    unit: "ms",
    min: 1_000,
    max: 7_200_000,
    doc: "How long it may think before its answer begins. Rule sets for mobile sync bring their own, longer time.",
  },
  idleTimeoutMs: {
    default: 30_000,
    unit: "ms",
    min: 1_000,
    max: 600_000,
    doc: "How long an unused connection is kept. Lower when the application closes its own sooner.",
  },
} as const;

/** As `completeUpstream` checked it. */
export interface PublishedUpstream extends Values<typeof upstreamParameters> {
  /** As rules name it; never "postern". */
  readonly name: string;
  readonly hostHeader: "published" | "upstream";
  readonly signOn: "none" | "basic" | "header";
}

/** One application that is published: where it is inside, and what of it is seen outside. */
export interface PublishedApplication extends PublishedUpstream {
  readonly rules: readonly PublishingRule[];
}

/** Fields that carry what they say: a sign-on header of that name would break the request. */
const reservedHeaders = new Set(
  "host connection content-length transfer-encoding upgrade te trailer expect forwarded via".split(
    " ",
  ),
);
/** As URL writes it: addresses of that kind, and the name that stands for them (RFC 6761 §6.3). */
const loopback = /^(?:127(?:\.\d{1,3}){3}|\[::1\]|localhost)$/;
const headerName = /^[A-Za-z][A-Za-z0-9-]{0,63}$/;

/** @throws Misconfigured naming the key, when the values cannot hold together */
export function completeUpstream(
  name: string,
  given: Values<typeof upstreamParameters>,
): PublishedUpstream {
  const wrong = (key: string, why: string): Misconfigured =>
    new Misconfigured(`publish.${name}.${key} ${why}`);
  if (name === "postern") throw new Misconfigured("publish.postern: the name is our own");
  const url = URL.canParse(given.upstream) ? new URL(given.upstream) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw wrong("upstream", "must be https://host or https://host:port");
  }
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "" || url.username !== "") {
    throw wrong("upstream", "must end with the host or its port");
  }
  if (url.protocol === "http:" && !given.plainWaiver && !loopback.test(url.hostname)) {
    throw wrong("upstream", "is http:// to another machine; use https://, or set plainWaiver");
  }
  const signOn = given.signOn as PublishedUpstream["signOn"];
  if (signOn === "header") {
    const lower = given.signOnHeader.toLowerCase();
    if (!headerName.test(given.signOnHeader) || reservedHeaders.has(lower)) {
      throw wrong("signOnHeader", "cannot carry a name");
    }
  }
  return { ...given, name, signOn, hostHeader: given.hostHeader as "published" | "upstream" };
}
