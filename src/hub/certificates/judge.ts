/** What is wrong with a served certificate, for an administrator to read (RFC 5280 §6, RFC 9525). */

import type { X509Certificate } from "node:crypto";
import { passingAuthorityName } from "#contracts/certify";
import { hasName, isSignedBy, isWeak } from "#edge/certify";
import type { PlaceName, PlaceSettings } from "./settings.ts";

export type FindingLevel = "critical" | "warning" | "note";

export interface Finding {
  readonly level: FindingLevel;
  /** Stable: scripts look for it. */
  readonly code: string;
  readonly text: string;
}

/** Where a chain ends. */
export type ChainEnd = "public" | "own" | "self-signed" | "incomplete" | "unknown";

export interface Anchors {
  readonly public: readonly X509Certificate[];
  readonly own: readonly X509Certificate[];
}

const dayMs = 86_400_000;
const soonDays = 21;
const veryLateDays = 7;

export function daysLeft(leaf: X509Certificate, nowMs: number): number {
  return Math.floor((leaf.validToDate.getTime() - nowMs) / dayMs);
}

/**
 * A leaf that comes alone and is not signed by a root has lost what belongs behind it; with others
 * behind it, it ends at an authority that is simply not known here.
 *
 * @param chain as served, the leaf first; each signed by the next
 */
export function chainEnd(chain: readonly X509Certificate[], anchors: Anchors): ChainEnd {
  const last = chain.at(-1);
  if (last === undefined) return "incomplete";
  if (isAnchoredIn(last, anchors.public)) return "public";
  if (isAnchoredIn(last, anchors.own)) return "own";
  if (chain.length > 1) return "unknown";
  return last.subject === last.issuer ? "self-signed" : "incomplete";
}

function isAnchoredIn(last: X509Certificate, anchors: readonly X509Certificate[]): boolean {
  return anchors.some(
    (anchor) => anchor.fingerprint256 === last.fingerprint256 || isSignedBy(last, anchor),
  );
}

export function judge(
  name: PlaceName,
  { names, outside }: PlaceSettings,
  chain: readonly X509Certificate[],
  { anchors, nowMs }: { readonly anchors: Anchors; readonly nowMs: number },
): readonly Finding[] {
  const [leaf] = chain;
  if (leaf === undefined) return [];
  const findings = [
    ageOf(leaf, nowMs),
    ...names.filter((one) => !hasName(leaf, one)).map((one) => lacks(name, one)),
    endOf(chainEnd(chain, anchors), chain, outside),
  ];
  if (chain.some((one) => isWeak(one.publicKey))) {
    findings.push(finding("critical", "weak-key", "a key in the chain is weak"));
  }
  if (chain.some((one) => /sha1|md5/i.test(one.signatureAlgorithm ?? ""))) {
    findings.push(
      finding("critical", "weak-signature", "signed with SHA-1 or MD5: clients refuse"),
    );
  }
  return findings.filter((one) => one !== undefined);
}

export function finding(level: FindingLevel, code: string, text: string): Finding {
  return { level, code, text };
}

/** Certificates that live for days only are not late all their life: renewal comes at two thirds. */
function ageOf(leaf: X509Certificate, nowMs: number): Finding | undefined {
  const lifeDays = (leaf.validToDate.getTime() - leaf.validFromDate.getTime()) / dayMs;
  const left = (leaf.validToDate.getTime() - nowMs) / dayMs;
  const days = Math.floor(left);
  if (left <= 0) return finding("critical", "expired", `expired ${-days} days ago`);
  if (left < Math.min(veryLateDays, lifeDays / 12)) {
    return finding("critical", "expires-soon", `expires in ${days} days`);
  }
  if (left < Math.min(soonDays, lifeDays / 4)) {
    return finding("warning", "expires-soon", `expires in ${days} days`);
  }
  return undefined;
}

/** Other mail servers mostly do not look at the name (RFC 7435); people's programs always do. */
function lacks(place: PlaceName, name: string): Finding {
  const level = place === "edge-smtp" ? "warning" : "critical";
  return finding(level, "name-missing", `${name}, which clients are told, is not in it`);
}

function endOf(
  end: ChainEnd,
  chain: readonly X509Certificate[],
  outside: boolean,
): Finding | undefined {
  const issuer = nameOf(chain.at(-1)?.issuer ?? "");
  const level = outside ? "critical" : "note";
  switch (end) {
    case "public":
      return undefined;
    case "own":
      return finding(
        level,
        "own-authority",
        outside
          ? "signed by our own authority, which strangers do not trust: use ACME or buy one"
          : "signed by our own authority: devices must be given its root (postern pki root)",
      );
    case "self-signed":
      return finding(
        outside ? "critical" : "warning",
        "self-signed",
        "signs itself: nobody trusts it",
      );
    case "incomplete":
      if (issuer === passingAuthorityName) {
        return finding(
          outside ? "critical" : "warning",
          "first-certificate",
          "the one that the edge began with: nobody vouches for it; use ACME or install one",
        );
      }
      return finding(
        outside ? "critical" : "warning",
        "chain-incomplete",
        `the certificate of "${issuer}" is missing behind it: some clients fail, often silently`,
      );
    case "unknown":
      return finding(
        outside ? "critical" : "note",
        "unknown-authority",
        `ends at "${issuer}", which is no public authority`,
      );
  }
}

/** The part of a distinguished name that people know it by. */
export function nameOf(distinguished: string): string {
  const lines = distinguished.split("\n");
  const known =
    lines.find((line) => line.startsWith("CN=")) ?? lines.find((l) => l.startsWith("O="));
  return (known ?? lines[0] ?? "").replace(/^(?:CN|O)=/, "");
}
