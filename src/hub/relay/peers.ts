/** Who may come by a door of the inside: connectors, their certificates and their logins. */

import { Buffer } from "node:buffer";
import { hex } from "#base/bytes";
import type { Clock } from "#base/clock";
import type { Random } from "#base/random";
import type { LoginAnswer, PartnerMechanism } from "#contracts/inbound-login";
import { type Certify, contextsByFloor } from "#edge/certify";
import type { Connection } from "#model/connection";
import type { InboundConnector, InboundDoor } from "#model/connector";
import type { Reply } from "#model/reply";
import { matchInbound } from "#transport/connectors";
import {
  type ConnectorRules,
  connectorRules,
  type SaslDialogue,
  type SaslPort,
  type SaslStep,
} from "#transport/smtp-server";
import type { PartnerLogins } from "../partner-login.ts";

export interface DoorPorts {
  readonly door: InboundDoor;
  readonly connectors: readonly InboundConnector[];
  readonly logins: PartnerLogins;
  readonly certify: Pick<Certify, "secureContext" | "onChange">;
  readonly clock: Clock;
  readonly random: Random;
}

export interface DoorPeers extends ConnectorRules, SaslPort {
  /** Could anybody with that address come by a connector? */
  isInvited(address: string): boolean;
  connectorOf(connection: Connection): InboundConnector | undefined;
  /** Why this client may not send with that reverse path, or at all. */
  refuse(connection: Connection, reversePath: string): Reply | undefined;
}

const strangers: Reply = {
  code: 550,
  status: "5.7.1",
  text: "this door is for known servers only",
};

export function doorPeers(ports: DoorPorts): DoorPeers {
  const { door } = ports;
  const connectors = ports.connectors.filter((one) => one.door === door);
  const context = contextsByFloor(ports.certify, ports.clock);
  const rules = connectorRules({
    door,
    connectors: () => connectors,
    match: matchInbound,
    context,
  });
  const byAddress = connectors.map(({ user: _user, ...rest }) => ({ ...rest, certificates: [] }));
  const connectorOf = ({ connector }: Connection): InboundConnector | undefined =>
    connectors.find(({ name }) => name === connector);
  return {
    ...rules,
    begin: (...login) => dialogue(login, ports),
    isInvited: (address) => matchInbound(byAddress, door, { address }) !== undefined,
    connectorOf,
    refuse(connection, reversePath) {
      const refusal = rules.refuseSender(connection, reversePath);
      return refusal ?? (connectorOf(connection) === undefined ? strangers : undefined);
    },
  };
}

function dialogue(
  [mechanism, connection, bound]: Parameters<SaslPort["begin"]>,
  { logins, random }: DoorPorts,
): SaslDialogue {
  const same = {
    dialogue: hex(random.bytes(16)),
    mechanism: mechanism as PartnerMechanism,
    from: connection.clientAddress,
    ...(bound && { exporter: bound.data.toString("base64") }),
  };
  return {
    next: async (response) =>
      stepOf(await logins.step({ ...same, response: response.toString("base64") })),
  };
}

function stepOf(answer: LoginAnswer): SaslStep {
  if ("challenge" in answer) return { challenge: Buffer.from(answer.challenge, "base64") };
  if ("user" in answer) return { ok: true, address: answer.user };
  const { refused } = answer;
  return refused === "bad-response" ? refused : { ok: false, reason: refused };
}
