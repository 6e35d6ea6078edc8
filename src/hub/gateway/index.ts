/** Postern in front of a mail server inside: who has a mailbox there (docs/gateway.md). */

import type { Clock } from "#base/clock";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { Random } from "#base/random";
import type { LinkStream } from "#contracts/link";
import type { ConnectorHost } from "#model/connector";
import { type Asking, calloutSource } from "./callout.ts";
import { type GatewayEvents, gatewayEvents, type RecipientAnswer } from "./events.ts";
import { ldapSource } from "./ldap.ts";
import { listSource } from "./list.ts";
import type { Gateway } from "./settings.ts";
import type { RecipientSource } from "./source.ts";
import { Verifier } from "./verifier.ts";

export type { RecipientAnswer } from "./events.ts";
export { isSenderProven } from "./proven-sender.ts";

export interface GatewayPorts {
  readonly gateways: readonly Gateway[];
  /** Hosts of the connector that leads to the domain, and a session with one of them. */
  readonly hostsOf: (domain: string) => readonly ConnectorHost[];
  readonly open: (domain: string, host: ConnectorHost) => Promise<Asking>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly registry: Registry;
}

/** What an administrator sees of one gateway. */
export interface GatewayState {
  readonly name: string;
  readonly domains: readonly string[];
  readonly recipients: Gateway["recipients"];
  /** Why the last question was not answered, or the list cannot be used; empty: none was seen. */
  readonly trouble: string;
  /** Domains whose server was seen to take any address. */
  readonly takesAny: readonly string[];
}

/** An answer, and how it was found. */
export interface Told extends Pick<GatewayState, "recipients" | "trouble"> {
  readonly gateway: string;
  readonly answer: RecipientAnswer;
  /** It is an address of ours, and the server inside was not asked. */
  readonly here?: "account" | "alias";
}

export interface Gateways extends AsyncDisposable {
  readonly domains: readonly string[];
  /** For an address of another domain: unknown. */
  ask(path: string): Promise<RecipientAnswer>;
  /** As `ask`, whatever is remembered, with who was asked; undefined: the domain is of no gateway. */
  askAnew(path: string): Promise<Told | undefined>;
  /** Answers a stream of kind recipient whose header was found to be {path}. */
  answer(stream: LinkStream, path: string): void;
  states(): readonly GatewayState[];
}

/** @throws Misconfigured when a list cannot be used */
export function startGateways(ports: GatewayPorts): Gateways {
  const events = gatewayEvents(ports.log, ports.registry);
  const verifiers = ports.gateways.map(
    (gateway) => new Verifier(gateway, sourceOf(gateway, ports, events), { ...ports, events }),
  );
  const byDomain = new Map(
    verifiers.flatMap((one) => one.gateway.domains.map((domain) => [domain, one] as const)),
  );
  const find = (path: string): { one: Verifier; address: string } | undefined => {
    const at = path.lastIndexOf("@");
    const domain = path.slice(at + 1).toLowerCase();
    const one = byDomain.get(domain);
    return one && { one, address: path.slice(0, at + 1) + domain };
  };
  const ask = async (path: string): Promise<RecipientAnswer> => {
    const found = find(path);
    return found === undefined ? "unknown" : await found.one.ask(found.address);
  };
  return {
    domains: [...byDomain.keys()],
    ask,
    async askAnew(path) {
      const found = find(path);
      if (found === undefined) return undefined;
      const { one, address } = found;
      const { name: gateway, recipients } = one.gateway;
      const answer = await one.askAnew(address);
      return { gateway, recipients, answer, trouble: one.trouble };
    },
    answer(stream, path) {
      void ask(path).then((recipient) => stream.answer({ recipient }));
    },
    states: () =>
      verifiers.map(({ gateway: { name, domains, recipients }, trouble, takesAny }) => ({
        ...{ name, domains, recipients, trouble, takesAny },
      })),
    async [Symbol.asyncDispose]() {
      await Promise.all(verifiers.map((one) => one[Symbol.asyncDispose]()));
    },
  };
}

function sourceOf(
  gateway: Gateway,
  { clock, hostsOf, open }: GatewayPorts,
  events: GatewayEvents,
): RecipientSource {
  switch (gateway.recipients) {
    case "any":
      return { has: async () => true, async [Symbol.asyncDispose]() {} };
    case "list":
      return listSource(gateway.listFile, gateway.subAddresses, {
        clock,
        unusable: (why) => events.listUnusable(gateway.name, why),
      });
    case "ldap":
      return ldapSource(gateway, clock);
    case "callout":
      return calloutSource({ hostsOf, open });
  }
}
