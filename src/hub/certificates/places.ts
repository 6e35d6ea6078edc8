/** Where certificates are served: the two edges over their links, and the hub's own doors. */

import type { X509Certificate } from "node:crypto";
import type { Clock } from "#base/clock";
import { Unavailable } from "#base/errors";
import type { CertifyAnswer, CertifyRequest } from "#contracts/certify";
import type { Link } from "#contracts/link";
import { readCertificate } from "#edge/certify";
import { parsePem } from "#formats/x509";
import type { PlaceName, PlaceSettings } from "./settings.ts";

export interface Accepted {
  readonly served?: { readonly chainPem: string };
  readonly requestPem?: string;
}

export interface Place {
  readonly name: PlaceName;
  readonly settings: PlaceSettings;
  /** @throws Unavailable when it does not answer, or says no: with its reason */
  ask(request: CertifyRequest): Promise<Accepted>;
}

const answerMs = 30_000;
/** Of a chain or request; and as many certificates as any chain has. */
const maxPemLength = 200_000;
const maxCertificates = 10;

export function placeOf(
  name: PlaceName,
  settings: PlaceSettings,
  ask: (request: CertifyRequest) => Promise<unknown>,
): Place {
  return {
    name,
    settings,
    async ask(request) {
      const answer = readAnswer(await ask(request));
      if (answer.ok) return answer;
      throw new Unavailable(`${name}: ${answer.why}`);
    },
  };
}

/** Over the link of an edge, as long as that is up. */
export function askOverLink(
  name: PlaceName,
  link: () => Link | undefined,
  clock: Clock,
): (request: CertifyRequest) => Promise<unknown> {
  return async (request) => {
    const up = link();
    if (up === undefined) throw new Unavailable(`no link to ${name}`);
    const stream = up.open("certify", request);
    const timer = clock.after(answerMs, () => stream.abort("no answer in time"));
    try {
      return await stream.answered;
    } finally {
      timer.cancel();
    }
  };
}

/** @throws Unavailable; what cannot be read as a certificate is left out */
export async function servedChain(place: Place): Promise<readonly X509Certificate[]> {
  const { served } = await place.ask({ do: "show" });
  const blocks = parsePem("CERTIFICATE", served?.chainPem ?? "").slice(0, maxCertificates);
  return blocks.map(readCertificate).filter((one) => one !== undefined);
}

/** An edge is hostile until checked. */
function readAnswer(value: unknown): CertifyAnswer {
  const { ok, why, served, requestPem } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (ok !== true) return { ok: false, why: isText(why, 500) ? why : "says no" };
  const { chainPem } = (served ?? {}) as Readonly<Record<string, unknown>>;
  return {
    ok,
    ...(isText(chainPem, maxPemLength) && { served: { chainPem } }),
    ...(isText(requestPem, maxPemLength) && { requestPem }),
  };
}

function isText(value: unknown, maxLength: number): value is string {
  return typeof value === "string" && value.length <= maxLength;
}
