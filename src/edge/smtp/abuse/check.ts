/** Whether the [abuse] table holds together. */

import { Misconfigured } from "#base/errors";
import { type IpRange, networkFault, parseRange } from "#base/ip";
import type { Values } from "#base/parameters";
import { type BlockList, parseBlockList } from "./block-lists.ts";
import type { abuseParameters } from "./parameters.ts";

export type AbuseSettings = Values<typeof abuseParameters>;

/**
 * @param ownRelays networks in front of us
 * @throws Misconfigured when a network or a list is none, or nobody would be let in, or no mail
 */
export function checkAbuse(settings: AbuseSettings, ownRelays: readonly string[]): AbuseSettings {
  networksOf(settings);
  blockListsOf(settings);
  if (settings.onlyFrom === "ownRelays" && ownRelays.length === 0) {
    throw new Misconfigured(
      'abuse.onlyFrom: identity.ownRelays names no host that may bring mail: write the networks of your provider there, or onlyFrom = "anywhere"',
    );
  }
  if (settings.greylistDelayS >= settings.greylistWindowH * 3600) {
    throw new Misconfigured(
      "abuse.greylistDelayS: no mail would pass before greylistWindowH is over",
    );
  }
  return settings;
}

/** @throws Misconfigured */
export function networksOf({ allow }: Pick<AbuseSettings, "allow">): readonly IpRange[] {
  return allow.map((text) => {
    const range = parseRange(text);
    const fault = networkFault(text);
    if (range !== undefined && fault === undefined) return range;
    throw new Misconfigured(`abuse.allow: "${text}" ${fault}`);
  });
}

/** @throws Misconfigured */
export function blockListsOf(settings: Pick<AbuseSettings, "blockLists">): readonly BlockList[] {
  return settings.blockLists.map((text) => {
    const list = parseBlockList(text);
    if (list !== undefined) return list;
    throw new Misconfigured(`abuse.blockLists: "${text}" is neither ZONE nor ZONE=127.0.0.2`);
  });
}
