/** Keeps the mail edge's policy as new as the directory: pushed at each change and with each new link. */

import type { Link } from "#contracts/link";
import type { SealPublicKeys } from "#contracts/sealed";
import { formatNoteKey } from "#formats/checkpoint";
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
  { settings, directory, clock, random, signer }: Inside,
  version: number,
  sealTo: SealPublicKeys,
): SnapshotFacts {
  return {
    version,
    madeAtMs: clock.nowMs(),
    salt: random.bytes(32),
    addresses: directory.deliverableAddresses(),
    domains: directory.domains().map(({ name }) => name),
    ...settings.identity,
    maxMessageBytes: settings.smtp.maxMessageBytes,
    sealTo,
    logKeys: signer.keys.map(formatNoteKey),
  };
}
