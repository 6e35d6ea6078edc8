/** What the tests of this room share: messages as they were judged, and a room on a fake clock. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Unavailable } from "#base/errors";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { seededRandom } from "#base/random";
import type { DkimVerdict, DmarcVerdict, SpfVerdict } from "#model/verdict";
import { type FakeClock, fakeClock } from "../../../tests/kit/fake-clock.ts";
import { type Zone, zoneResolver } from "../../../tests/kit/fake-dns.ts";
import type { OwnMail } from "../outgoing.ts";
import type { SeenMessage } from "./evidence.ts";
import { completeReportSettings, openReports, type Reports, reportParameters } from "./index.ts";

/** Noon of a day, as the fake clock begins. */
export const noonMs: number = Date.UTC(2026, 10, 21, 12);

export function spfOf(result: SpfVerdict["result"], domain: string): SpfVerdict {
  return { method: "spf", result, domain, identity: "mailfrom", why: "" };
}

export function dkimOf(result: DkimVerdict["result"], domain: string, selector = "s"): DkimVerdict {
  const identity = `@${domain}`;
  return { method: "dkim", result, domain, selector, identity, algorithm: "", mark: "", why: "" };
}

export function dmarcOf(domain: string, more: Partial<DmarcVerdict> = {}): DmarcVerdict {
  return {
    method: "dmarc",
    result: "fail",
    fromDomain: domain,
    policyDomain: domain,
    policy: "reject",
    published: "reject",
    spfAligned: false,
    dkimAligned: [],
    why: "",
    ...more,
  };
}

/** A message of the domain that fails DMARC, and is quarantined though its owner asks for reject. */
export function seenOf(domain: string, more: Partial<SeenMessage> = {}): SeenMessage {
  return {
    atMs: noonMs,
    verdicts: [spfOf("fail", domain), dmarcOf(domain)],
    source: { kind: "direct", address: "192.0.2.7", helo: "x", passed: 0 },
    decision: {
      disposition: "quarantine",
      opinions: [{ stage: "dmarc", disposition: "quarantine", because: "" }],
    },
    reversePath: `bounce@${domain}`,
    recipients: ["ana@us.example"],
    ...more,
  };
}

export interface House extends AsyncDisposable {
  readonly reports: Reports;
  readonly clock: FakeClock;
  readonly registry: Registry;
  readonly sent: OwnMail[];
  /** Octets of messages by id. */
  readonly mails: Map<string, Buffer>;
  readonly folder: string;
}

export function house(
  zone: Zone = {},
  settings: Partial<ReturnType<typeof defaultsOf<typeof reportParameters>>> = {},
): House {
  const folder = mkdtempSync(join(tmpdir(), "reports-"));
  const clock = fakeClock(noonMs);
  const registry = new Registry();
  const mails = new Map<string, Buffer>();
  const sent: OwnMail[] = [];
  const messages = {
    sizeBytes: async (id: string) => mails.get(id)?.length,
    read: async (id: string, start = 0, end?: number) =>
      (mails.get(id) ?? Buffer.alloc(0)).subarray(start, end),
  };
  const given = { ...defaultsOf(reportParameters), send: true, ...settings };
  const reports = openReports({
    folder,
    settings: completeReportSettings(given, "us.example"),
    store: { messages } as unknown as Parameters<typeof openReports>[0]["store"],
    clock,
    random: seededRandom(3),
    log: silentLog,
    registry,
  });
  reports.begin({
    resolver: zoneResolver(zone),
    sendOwn: async (own) => void sent.push(own),
    dial: () => Promise.reject(new Unavailable("nobody")),
  });
  return {
    reports,
    clock,
    registry,
    sent,
    mails,
    folder,
    async [Symbol.asyncDispose]() {
      await reports[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
