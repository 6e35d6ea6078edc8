/** What mailauth says of a message, in the words of our verdicts. */

import { authenticate } from "mailauth";
import type { RecordType } from "#base/dns";
import { type Zone, zoneResolver } from "../../kit/fake-dns.ts";

export interface Opinion {
  readonly spf: string;
  /** In the order of the header. */
  readonly dkim: readonly string[];
  readonly arc: string;
  readonly dmarc: string;
  /** Which the owner asks for; "" without a record. */
  readonly policy: string;
}

export interface Envelope {
  readonly ip: string;
  readonly helo: string;
  readonly sender: string;
}

/** Answers as `node:dns` does. */
function nodeResolver(zone: Zone) {
  const zoned = zoneResolver(zone);
  const cache = new Map<string, ReturnType<typeof zoned.query>>();
  return async (name: string, type: string): Promise<string[][] | string[]> => {
    const key = `${type} ${name}`;
    const answer = await cache.getOrInsertComputed(key, () => zoned.query(name, type as RecordType));
    if (answer.kind === "none") {
      throw Object.assign(new Error("nothing"), { code: answer.nxdomain ? "ENOTFOUND" : "ENODATA" });
    }
    if (answer.kind === "failed") throw Object.assign(new Error("late"), { code: "ETIMEOUT" });
    const rows = answer.records.map((record) => {
      if ("text" in record) return [record.text];
      if ("address" in record) return record.address;
      if ("exchange" in record) return { exchange: record.exchange, priority: record.preference };
      return "name" in record ? record.name : "";
    });
    return rows as string[][];
  };
}

export function mailauthFor(
  zone: Zone,
): (octets: Buffer, envelope: Envelope) => Promise<Opinion> {
  const resolver = nodeResolver(zone);
  return async (octets, envelope) => {
    const found = await authenticate(octets, {
      ...envelope,
      resolver,
      mta: "localhost",
      strict: true,
      disableBimi: true,
    });
    const { spf, dkim, arc, dmarc } = found;
    return {
      spf: spf === false ? "none" : spf.status.result,
      dkim: dkim.results.map(({ status }) => status.result),
      arc: arc === false ? "none" : (arc.status.result as string),
      dmarc: dmarc === false ? "permerror" : dmarc.status.result,
      policy: dmarc === false ? "" : (dmarc.policy ?? ""),
    };
  };
}
