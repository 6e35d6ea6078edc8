/** The inbound connectors of this edge, as the inside pushed them, and logins that it judges for us. */

import { Buffer } from "node:buffer";
import { hex } from "#base/bytes";
import type { Clock } from "#base/clock";
import { Unavailable } from "#base/errors";
import type { Random } from "#base/random";
import type { LoginAnswer, LoginStep, PartnerMechanism } from "#contracts/inbound-login";
import type { Links } from "#contracts/link";
import { type Certify, contextsByFloor } from "#edge/certify";
import type { InboundConnector } from "#model/connector";
import { matchInbound } from "#transport/connectors";
import {
  type ConnectorRules,
  connectorRules,
  type SaslDialogue,
  type SaslPort,
  type SaslStep,
} from "#transport/smtp-server";
import type { PolicyHolder } from "./policy.ts";

export interface EdgeConnectors extends ConnectorRules, SaslPort {}

export interface EdgeConnectorPorts {
  readonly policy: Pick<PolicyHolder, "current">;
  readonly links: Pick<Links, "forKind">;
  /** Absent: no TLS is offered. */
  readonly certify?: Pick<Certify, "secureContext" | "onChange">;
  readonly clock: Clock;
  readonly random: Random;
}

export function edgeConnectors(ports: EdgeConnectorPorts): EdgeConnectors {
  const { policy, certify, clock } = ports;
  const rules = connectorRules({
    door: "edge",
    connectors: () => policy.current?.inbound ?? none,
    match: matchInbound,
    ...(certify && { context: contextsByFloor(certify, clock) }),
  });
  return { ...rules, begin: (...login) => dialogue(login, ports) };
}

const none: readonly InboundConnector[] = [];

/** The inside does not let a client wait longer for each step. */
const answerWaitMs = 10_000;
const busy: SaslStep = { ok: false, reason: "busy" };

function dialogue(
  [mechanism, connection, bound]: Parameters<SaslPort["begin"]>,
  { links, clock, random }: EdgeConnectorPorts,
): SaslDialogue {
  const same: Omit<LoginStep, "response"> = {
    dialogue: hex(random.bytes(16)),
    mechanism: mechanism as PartnerMechanism,
    from: connection.clientAddress,
    ...(bound && { exporter: bound.data.toString("base64") }),
  };
  return {
    async next(response) {
      const link = links.forKind("authenticate");
      if (link === undefined) return busy;
      const step: LoginStep = { ...same, response: response.toString("base64") };
      try {
        const stream = link.open("authenticate", step);
        const timer = clock.after(answerWaitMs, () => stream.abort("no answer in time"));
        return stepOf(await stream.answered.finally(() => timer.cancel()));
      } catch (error) {
        if (error instanceof Unavailable) return busy;
        throw error;
      }
    },
  };
}

/** @param answer as the inside sent it; what is not understood lets nobody in */
function stepOf(answer: unknown): SaslStep {
  const said = (answer ?? {}) as Partial<Record<keyof LoginAnswer | string, unknown>>;
  const { challenge, user, refused } = said;
  if (typeof challenge === "string") return { challenge: Buffer.from(challenge, "base64") };
  if (typeof user === "string" && user !== "") return { ok: true, address: user };
  if (refused === "bad-response") return refused;
  return { ok: false, reason: refused === "refused" || refused === "slow-down" ? refused : "busy" };
}
