/** Keeps the mail edge's policy as new as the directory: pushed at each change and with each new link. */

import type { Link } from "#contracts/link";
import type { SealPublicKeys } from "#contracts/sealed";
import { formatNoteKey } from "#formats/checkpoint";
import type { InboundConnector } from "#model/connector";
import { type Inside, readText } from "./inside.ts";
import { type PolicyPusher, signedPusher } from "./signed-push.ts";
import { type SnapshotFacts, snapshotText } from "./snapshot.ts";

export function policyPusher(inside: Inside, linkNow: () => Link | undefined): PolicyPusher {
  const { settings, clock, events } = inside;
  const { publicKeys } = JSON.parse(readText(settings.sealKeys)) as { publicKeys: SealPublicKeys };
  return signedPusher({
    clock,
    events,
    edge: "edge-smtp",
    policyKeyPem: readText(settings.policyKey),
    linkNow,
    textOf: (version) => snapshotText(factsOf(inside, version, publicKeys)),
  });
}

function factsOf(
  { settings, directory, gateways, clock, random, signer }: Inside,
  version: number,
  sealTo: SealPublicKeys,
): SnapshotFacts {
  return {
    version,
    madeAtMs: clock.nowMs(),
    salt: random.bytes(32),
    addresses: directory.deliverableAddresses(),
    domains: directory.domains().map(({ name }) => name),
    askedDomains: gateways.domains,
    ...settings.identity,
    maxMessageBytes: settings.smtp.maxMessageBytes,
    sealTo,
    inbound: settings.inbound.filter(({ door }) => door === "edge").map(withoutSecrets),
    logKeys: signer.keys.map(formatNoteKey),
  };
}

/** The DMZ need not know where they lie, nor how old they may become. */
function withoutSecrets(connector: InboundConnector): InboundConnector {
  const { secretFiles: _, secretMaxAgeDays: __, ...told } = connector;
  return told;
}
