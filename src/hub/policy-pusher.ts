/** Keeps the edge's policy as new as the directory: pushed at each change and with each new link. */

import type { Link } from "#contracts/link";
import type { SealPublicKeys } from "#contracts/sealed";
import { formatNoteKey } from "#formats/checkpoint";
import { type Inside, readText } from "./inside.ts";
import { pushSnapshot, type SnapshotFacts, signSnapshot } from "./snapshot.ts";

export interface PolicyPusher {
  /** Resolves when the edge has what is now, or when there is no link to tell it by. */
  push(): Promise<void>;
}

const retryMs = 5000;

export function policyPusher(inside: Inside, linkNow: () => Link | undefined): PolicyPusher {
  const { settings, clock, events } = inside;
  const keyPem = readText(settings.policyKey);
  const { publicKeys } = JSON.parse(readText(settings.sealKeys)) as { publicKeys: SealPublicKeys };
  let version = 0;
  let running: Promise<void> | undefined;
  let again = false;

  /** @returns the version that the edge then holds; -1 when the push failed */
  const once = async (link: Link): Promise<number> => {
    version = Math.max(version + 1, clock.nowMs());
    const signed = signSnapshot(factsOf(inside, version, publicKeys), keyPem);
    const held = await pushSnapshot(link, signed).catch(() => -1);
    events.policyPushed("edge-smtp", held);
    return held;
  };
  const run = async (): Promise<void> => {
    do {
      again = false;
      // Without a link there is nobody to tell; the next link gets the newest policy anyway.
      const link = linkNow();
      if (link === undefined) break;
      let held = await once(link);
      if (held > version && Number.isSafeInteger(held)) {
        // Our clock went back: the edge holds a later version and is right to refuse an older one.
        version = held;
        held = await once(link);
      }
      if (held !== version) clock.after(retryMs, () => void push());
    } while (again);
    running = undefined;
  };
  /** One push at a time; a change in between leads to one more, not to many. */
  const push = (): Promise<void> => {
    if (running !== undefined) again = true;
    running ??= run();
    return running;
  };
  return { push };
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
