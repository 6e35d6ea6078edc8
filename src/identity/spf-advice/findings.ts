/** What is wrong with a domain's SPF, and what to do about it. */

import { isRented, parseNetwork, widthOf } from "./networks.ts";
import {
  limits,
  type Passing,
  type SpfExpansion,
  type SpfFinding,
  type SpfNode,
  type SpfProblem,
} from "./tree.ts";

/** RFC 7208 §3.4: then the answer fits into one UDP packet everywhere. */
const roomyLength = 450;

type Facts = Omit<SpfExpansion, "findings"> & { readonly problems: readonly SpfProblem[] };

export function findingsOf(facts: Facts): SpfFinding[] {
  const { record } = facts;
  if (record.problem !== undefined) return [rootFinding(record)];
  return [
    ...facts.problems.flatMap(problemFinding),
    ...budgetFindings(facts),
    ...endFindings(record),
    ...termFindings(record),
    ...rangeFindings(facts.passing),
  ];
}

function bad(text: string, advice?: string): SpfFinding {
  return { level: "bad", text, ...(advice && { advice }) };
}

function warn(text: string, advice?: string): SpfFinding {
  return { level: "warn", text, ...(advice && { advice }) };
}

function rootFinding({ domain, problem }: SpfNode): SpfFinding {
  const why = problem?.why ?? "";
  switch (problem?.kind) {
    case "none":
      return bad(
        `${why}: nobody can tell its mail from forged mail`,
        `postern spf wizard ${domain}`,
      );
    case "several":
      return bad(`${why}: receivers give "permerror" to all of its mail`, "merge them into one");
    case "faulty":
      return bad(`${why}: receivers give "permerror" to all of its mail`, "mend the record");
    default:
      return { level: "unknown", text: why };
  }
}

/** Below the first record: RFC 7208 §5.2 makes most of these errors of the whole. */
function problemFinding({ kind, why }: SpfProblem): SpfFinding[] {
  if (kind === "not-followed") return []; // said once, by the budget
  if (kind === "unanswered") return [{ level: "unknown", text: why }];
  return [bad(`${why}: receivers give "permerror"`, "mend or remove the term that leads there")];
}

function budgetFindings({ lookups, voids, cut, record }: Facts): SpfFinding[] {
  const found: SpfFinding[] = [];
  if (lookups > limits.lookups) {
    const text = `the record needs ${lookups} look-ups, ${limits.lookups} are allowed: mail that is not matched early gets "permerror"`;
    found.push(bad(text, "put addresses in place of the dearest includes, or drop some"));
  }
  for (const [family, count] of Object.entries(voids)) {
    if (count <= limits.voids) continue;
    const client = family === "ipv4" ? "IPv4" : "IPv6";
    const text = `${count} look-ups find nothing for ${client} clients, ${limits.voids} are allowed: they get "permerror"`;
    found.push(bad(text, "remove the terms whose names have no such records"));
  }
  if (cut)
    found.push(warn("the tree of records is larger than we follow: all numbers are too low"));
  const length = record.text?.length ?? 0;
  if (length > roomyLength) {
    const text = `the record has ${length} octets; above ${roomyLength} the answer may not fit into one UDP packet`;
    found.push({ level: "note", text });
  }
  return found;
}

function endFindings({ terms }: SpfNode): SpfFinding[] {
  const last = terms.find(({ text }) => /^[-+~?]?all$/i.test(text));
  if (last === undefined) {
    if (terms.some(({ text }) => text.startsWith("redirect="))) return [];
    return [
      warn(
        'the record has no "all" at its end: strangers get "neutral"',
        "end it with ~all or -all",
      ),
    ];
  }
  if (last.text.startsWith("?")) {
    const text = 'the record ends with "?all": it says nothing about strangers';
    return [warn(text, "when all your servers are listed, end it with ~all or -all")];
  }
  if (/^[-~]/.test(last.text)) return [];
  return [
    bad("the record lets the whole world send as the domain (+all)", "end it with ~all or -all"),
  ];
}

function termFindings({ terms }: SpfNode): SpfFinding[] {
  return terms.flatMap((term) => {
    if (term.unreached) return [warn(`${term.text} stands behind "all", so nobody reads it`)];
    if (!/^[-+~?]?ptr(?::|$)/i.test(term.text)) return [];
    const text = `${term.text} is slow and unreliable, and some receivers pass over it (RFC 7208, 5.5)`;
    return [warn(text, "list the addresses instead")];
  });
}

/** Whoever gets one address of a range sends as the domain. */
function rangeFindings(passing: readonly Passing[]): SpfFinding[] {
  const own = (via: string): boolean => !/^\+?include:/i.test(via) && !/^redirect=/i.test(via);
  const listed = passing.flatMap(({ network, via }) => {
    const parsed = parseNetwork(network);
    return parsed === undefined ? [] : [{ network, via, parsed, isOwn: own(via) }];
  });
  const found: SpfFinding[] = [];
  const add = (level: SpfFinding["level"], which: typeof listed, says: string): void => {
    if (which.length === 0) return;
    const shown = which
      .slice(0, 4)
      .map(({ network, via, isOwn }) => (isOwn ? network : `${network} through ${via}`));
    const more = which.length > 4 ? ` and ${which.length - 4} more` : "";
    const advice = level === "note" ? {} : { advice: "list only the servers that send" };
    found.push({ level, text: `${shown.join(", ")}${more}: ${says}`, ...advice });
  };
  const huge = listed.filter(({ parsed }) => widthOf(parsed) === "bad");
  const wide = listed.filter(({ parsed }) => widthOf(parsed) === "wide");
  const rented = listed.filter(({ parsed, isOwn }) => isOwn && isRented(parsed));
  add("bad", huge, "so large a share of the Internet that the record protects nobody");
  add(
    "warn",
    wide.filter(({ isOwn }) => isOwn),
    "a very wide range; any host in it passes as the domain",
  );
  add(
    "note",
    wide.filter(({ isOwn }) => !isOwn),
    "a very wide range of a provider; a pass says little there without DKIM",
  );
  add(
    "warn",
    rented,
    "part of a cloud that rents addresses to anybody; whoever gets one of these passes as the domain",
  );
  return found;
}
