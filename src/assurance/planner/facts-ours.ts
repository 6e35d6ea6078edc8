/** What our programs listen for and dial, joined to the words of their manifests. */

import type { Manifest } from "#contracts/manifest";
import { type FlowFact, tcp, udp } from "./flow.ts";
import { publishable, type Role, type Topology } from "./topology.ts";

/** A fact holds as long as one of these manifests says so. */
interface OurFact extends FlowFact {
  /** First words of an entry of `listens`, of the program at the end `to`. */
  readonly listens?: string;
  /** First words of an entry of `dials`, of the program at the end `from`. */
  readonly dials?: string;
}

/** Entries of manifests that open nothing between hosts. */
const localEntries = ["console (loopback)", "admin socket", "keyring socket"];

/** What is dialled only where the configuration names it: a [flow.NAME] of the plan says where. */
const optionalEntry = "when configured";

export function ourFacts(topology: Topology, manifests: readonly Manifest[]): readonly FlowFact[] {
  return allFacts(topology).filter((fact) => isSaid(fact, manifests));
}

function isSaid({ from, to, listens, dials }: OurFact, manifests: readonly Manifest[]): boolean {
  const says = (role: string, key: "listens" | "dials", word: string | undefined): boolean =>
    word === undefined ||
    manifests.some((one) => one.name === role && one[key].some((entry) => begins(entry, word)));
  return says(to, "listens", listens) && says(from, "dials", dials);
}

/** "https" begins "https (TLS)", "http" does not. */
function begins(entry: string, word: string): boolean {
  return entry.startsWith(word) && !/[a-z0-9]/i.test(entry.charAt(word.length));
}

/** Entries of manifests that the plan has no fact for: a program that grew, unseen by the plan. */
export function unknownEntries(
  topology: Topology,
  manifests: readonly Manifest[],
): readonly string[] {
  const facts = allFacts({ ...topology, redirect: true, publish: publishable });
  return manifests.flatMap(({ name, listens, dials }) => {
    const isLocal = (entry: string): boolean =>
      localEntries.includes(entry) || entry.includes(optionalEntry);
    const strangers = (key: "listens" | "dials", all: readonly string[]): string[] =>
      all.filter((entry) => {
        const own = facts.filter((fact) => fact[key === "listens" ? "to" : "from"] === name);
        return !isLocal(entry) && !own.some((fact) => begins(entry, fact[key] ?? "\0"));
      });
    return [
      ...strangers("listens", listens).map((entry) => `${name} listens: ${entry}`),
      ...strangers("dials", dials).map((entry) => `${name} dials: ${entry}`),
    ];
  });
}

function allFacts(topology: Topology): readonly OurFact[] {
  return [
    ...mailFacts(topology),
    ...webFacts(topology),
    ...linkFacts(topology),
    ...lanFacts(topology),
    ...serviceFacts(topology),
    ...adminFacts(topology),
  ];
}

function mailFacts({ provider, ports }: Topology): readonly OurFact[] {
  const isFiltered = provider.ranges.length > 0;
  return [
    {
      from: "internet",
      to: "edge-smtp",
      listens: "smtp",
      ports: [tcp(ports.smtp)],
      what: "SMTP",
      reason: isFiltered
        ? "mail comes in through the managed provider, and from nobody else"
        : "mail servers of others bring mail",
      breaks: "no mail from outside arrives",
      ...(isFiltered && { only: provider.ranges }),
    },
    {
      from: "edge-smtp",
      to: "internet",
      dials: "port 25",
      ports: [tcp(25)],
      what: "SMTP",
      reason: "outgoing mail leaves through the edge, at the hub's word",
      breaks: "no mail leaves",
      ...(isFiltered && provider.relays && { only: provider.ranges }),
    },
    {
      from: "edge-smtp",
      to: "internet",
      dials: "port 443",
      ports: [tcp(443)],
      what: "HTTPS",
      reason: "policies of MTA-STS are fetched, and TLS reports delivered, at the hub's word",
      breaks: "mail to domains with MTA-STS leaves without the protection that they ask for",
    },
  ];
}

function webFacts({ redirect, publish, ports }: Topology): readonly OurFact[] {
  const web = { from: "internet", to: "edge-web" } as const;
  const plain: OurFact = {
    ...web,
    ports: [tcp(ports.http)],
    what: "HTTP",
    reason: "redirects to HTTPS, and answers nothing else",
    breaks: "people who type the bare name see an error",
  };
  return [
    {
      ...web,
      listens: "https",
      ports: [tcp(ports.https)],
      what: "HTTPS",
      reason: "webmail, login and published applications",
      breaks: "people outside reach no mail",
    },
    ...(redirect ? [plain] : []),
    ...publish.map(
      (protocol): OurFact => ({
        ...web,
        listens: "imaps",
        ports: [tcp(ports[protocol])],
        what: protocol.toUpperCase(),
        reason: "the edge passes the ciphertext on and sees no password",
        breaks: `mail programs outside cannot use ${protocol.toUpperCase()}`,
      }),
    ),
  ];
}

function linkFacts({ ports }: Topology): readonly OurFact[] {
  const link = (to: Role & ("edge-smtp" | "edge-web"), port: number, breaks: string): OurFact => ({
    from: "hub",
    to,
    listens: "link",
    dials: `link of ${to}`,
    ports: [tcp(port)],
    what: "link, mutual TLS 1.3",
    reason: "the inside dials the edge, so that no port opens towards the inside",
    breaks,
  });
  return [
    link("edge-smtp", ports.smtpLink, "mail from outside is answered 451, none leaves"),
    link("edge-web", ports.webLink, "the edge answers 503 to everybody"),
  ];
}

function lanFacts({ ports }: Topology): readonly OurFact[] {
  return [
    {
      from: "lan",
      to: "hub",
      listens: "imap",
      ports: [tcp(ports.imap)],
      what: "IMAPS",
      reason: "mail programs on the LAN read mail, inside TLS like everybody",
      breaks: "mail programs on the LAN read no mail",
    },
    {
      from: "lan",
      to: "hub",
      listens: "submission",
      ports: [tcp(ports.submission)],
      what: "submission, TLS",
      reason: "mail programs on the LAN send mail",
      breaks: "mail programs on the LAN send no mail",
    },
    {
      from: "lan",
      to: "edge-web",
      listens: "https",
      ports: [tcp(ports.https)],
      what: "HTTPS",
      reason: "browsers on the LAN use the same door as those outside",
      breaks: "no webmail on the LAN",
    },
  ];
}

function serviceFacts({ hosts }: Topology): readonly OurFact[] {
  const has = (role: Role): boolean => hosts.some((host) => host.roles.includes(role));
  const dns = {
    ports: [udp(53), tcp(53)],
    what: "DNS",
    reason: "mail is routed and senders are judged by the DNS",
    breaks: "senders cannot be judged, mail does not leave",
  };
  const time = {
    ports: [udp(123)],
    what: "NTP",
    reason: "certificates and signatures need the right time",
    breaks: "clocks drift until certificates look expired",
  };
  const timed: readonly Role[] = ["edge-smtp", "edge-web", "hub", "resolver"];
  return [
    { ...dns, from: "edge-smtp", to: has("resolver") ? "resolver" : "internet", dials: "DNS" },
    { ...dns, from: "resolver", to: "internet" },
    ...(has("time-server")
      ? [
          ...timed.map((from): OurFact => ({ ...time, from, to: "time-server" })),
          { ...time, from: "time-server", to: "internet" } as const,
        ]
      : []),
    {
      from: "hub",
      to: "directory-server",
      ports: [tcp(636)],
      what: "LDAP inside TLS",
      reason: "people and groups are kept in a directory",
      breaks: "people of the directory cannot log in",
    },
  ];
}

function adminFacts({ hosts }: Topology): readonly OurFact[] {
  const ours: readonly Role[] = ["edge-smtp", "edge-web", "hub", "router", "resolver"];
  return ours
    .filter((to) => hosts.some((host) => host.roles.includes(to)))
    .map((to) => ({
      from: "admin",
      to,
      ports: [tcp(22)],
      what: "SSH",
      reason: "administration; the console of the hub stays on its loopback, behind SSH",
      breaks: "the host is administered at its own screen only",
    }));
}
