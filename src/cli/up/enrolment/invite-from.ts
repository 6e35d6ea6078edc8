/** `postern edge invite`: from this folder of the inside, one edge at a time. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "#base/clock";
import { Misconfigured } from "#base/errors";
import type { UpFacts } from "../index.ts";
import { layoutOf } from "../layout.ts";
import { linkFileNames } from "../link-identity.ts";
import { givenConfig, prepare } from "../prepare.ts";
import { inviteEdge, makeToken } from "./invite.ts";
import { type EnrolledEdge, readEdges, writeEdges } from "./records.ts";
import { formatToken } from "./token.ts";

export interface InvitePlan {
  readonly data: string;
  readonly config?: string;
  readonly name: string;
  readonly address: string;
  readonly smtpPort: number;
  readonly webPort: number;
  readonly minutes: number;
  readonly signal: AbortSignal;
}

export interface InviteNews {
  readonly onToken: (token: string) => void;
  readonly onTrouble: (why: string) => void;
}

/** Returns when the edge is enrolled and written down. */
export async function inviteFrom(
  plan: InvitePlan,
  facts: UpFacts,
  { onToken, onTrouble }: InviteNews,
): Promise<void> {
  const place = {
    role: "inside",
    data: plan.data,
    given: givenConfig(plan.data, plan.config),
  } as const;
  if (existsSync(layoutOf(plan.data).edgeSmtp)) {
    throw new Misconfigured(`${plan.data}: "postern up" runs an edge of its own from this folder`);
  }
  const prepared = prepare(place, facts, systemClock.nowMs());
  const { layout, hostname, domain, policyPublicKey } = prepared;
  const enrolled = readEdges(layout);
  // The hub serves one mail edge and one web edge.
  const [present] = enrolled;
  if (present !== undefined) {
    throw new Misconfigured(`"${present.name}" is enrolled: postern edge remove ${present.name}`);
  }
  const inHub = (name: string): string => readFileSync(join(layout.hub, name), "utf8");
  const hubCertificatePem = inHub(linkFileNames.certificate);
  const expiresAtMs = systemClock.nowMs() + plan.minutes * 60_000;
  const token = makeToken(hubCertificatePem, expiresAtMs);
  const invitation = {
    token,
    at: { host: plan.address, port: plan.smtpPort },
    hubKeyPem: inHub(linkFileNames.key),
    enrolment: { name: plan.name, domain, hostname, hubCertificatePem, policyPublicKey },
  };
  onToken(formatToken(token));
  const deps = { clock: systemClock, onTrouble, signal: plan.signal };
  const alive = setInterval(() => {}, 2 ** 30); // its waits alone do not keep the process
  await inviteEdge(invitation, deps, (offered) => {
    const edge: EnrolledEdge = {
      name: plan.name,
      address: plan.address,
      enrolledAt: new Date(systemClock.nowMs()).toISOString(),
      smtp: { port: plan.smtpPort, certificatePem: offered.smtp },
      web: { port: plan.webPort, certificatePem: offered.web },
    };
    writeEdges(layout, [edge]);
  }).finally(() => clearInterval(alive));
}
