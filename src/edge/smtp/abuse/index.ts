/** What a stranger may take of us: who may come at all, how often, and how slowly he is refused. */

import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import { clientNetwork, type IpRange, parseRange } from "#base/ip";
import { isOwnRelay } from "#identity/hops";
import type { Connection } from "#model/connection";
import type { Opinion } from "#model/decision";
import type { Reply } from "#model/reply";
import type { SpfVerdict } from "#model/verdict";
import type { SmtpSession } from "#transport/smtp-server";
import type { PolicyHolder } from "../policy.ts";
import { askBlockLists, type BlockList, type Listing } from "./block-lists.ts";
import { type AbuseSettings, blockListsOf, networksOf } from "./check.ts";
import type { AbuseEvents, AbuseReason } from "./events.ts";
import type { Greylist } from "./greylist.ts";
import type { Overload } from "./overload.ts";
import { type RateKind, Rates } from "./rates.ts";

export interface AbusePorts {
  readonly settings: AbuseSettings;
  readonly policy: Pick<PolicyHolder, "current" | "identity">;
  readonly resolver: Pick<Resolver, "query">;
  readonly clock: Clock;
  readonly events: AbuseEvents;
  readonly overload: Overload;
  /** Do as many messages wait to be handed in as may? */
  readonly isCrowded: () => boolean;
  /** Absent: no greylisting. */
  readonly greylist?: Greylist;
}

type Later<Value> = Value | Promise<Value>;

/** Each returns what the client is told instead of being served. */
export interface Abuse {
  connected(connection: Connection): Reply | undefined;
  mail(session: SmtpSession): Reply | undefined;
  /** Before anybody looks whether the recipient exists. */
  recipient(session: SmtpSession, path: string): Later<Reply | undefined>;
  /** The recipient does not exist. */
  unknown(connection: Connection): void;
  /** The recipient exists. */
  greylisted(
    session: SmtpSession,
    path: string,
    spf: Promise<SpfVerdict> | undefined,
  ): Later<Reply | undefined>;
  /** Advice on the message, once its recipients are named. */
  opinions(session: SmtpSession): readonly Opinion[];
  /** Nothing of this is for him. */
  isTrusted(connection: Connection): boolean;
}

const minuteMs = 60_000;
const hourMs = 3_600_000;

/** @throws Misconfigured when a network or a list is none */
export function abuseControl(ports: AbusePorts): Abuse {
  return new Control(ports);
}

class Control implements Abuse {
  readonly #ports: AbusePorts;
  readonly #rates: Rates;
  readonly #allow: readonly IpRange[];
  readonly #lists: readonly BlockList[];
  readonly #listings = new WeakMap<SmtpSession, Promise<Listing | undefined>>();
  readonly #found = new WeakMap<SmtpSession, Listing>();

  constructor(ports: AbusePorts) {
    const { settings, clock } = ports;
    this.#ports = ports;
    this.#allow = networksOf(settings);
    this.#lists = blockListsOf(settings);
    this.#rates = new Rates(clock, {
      connections: { most: settings.connectionsPerMinute, periodMs: minuteMs },
      messages: { most: settings.messagesPerMinute, periodMs: minuteMs },
      recipients: { most: settings.recipientsPerMinute, periodMs: minuteMs },
      unknown: { most: settings.unknownRecipientsPerHour, periodMs: hourMs },
    });
  }

  isTrusted({ clientAddress, authenticated, connector }: Connection): boolean {
    const { current, identity } = this.#ports.policy;
    if (authenticated !== undefined || isOwnRelay(clientAddress, this.#allow)) return true;
    if (isOwnRelay(clientAddress, identity.ownRelays)) return true;
    if (connector === undefined) return false;
    return current?.inbound?.find(({ name }) => name === connector)?.trusted === true;
  }

  connected(connection: Connection): Reply | undefined {
    const { overload, settings, policy, isCrowded } = this.#ports;
    if (overload.state !== "calm" || isCrowded()) return this.#refuse("busy", connection, busyNow);
    if (this.isTrusted(connection)) return undefined;
    if (settings.onlyFrom === "ownRelays" && !this.#isPartners(connection)) {
      const reply = policy.current === undefined ? notReady : notYou;
      return this.#refuse("only-from", connection, reply);
    }
    const refusal = this.#count("connections", connection, 421);
    // Asked now, so that the answer is at hand when the first recipient is named.
    if (refusal === undefined && this.#lists.length > 0) void this.#ask(connection, () => {});
    return refusal;
  }

  mail({ connection }: SmtpSession): Reply | undefined {
    const { overload, isCrowded } = this.#ports;
    if (overload.state === "very-late" || isCrowded()) {
      return this.#refuse("busy", connection, busyLater);
    }
    return this.isTrusted(connection) ? undefined : this.#count("messages", connection, 450);
  }

  recipient(session: SmtpSession, path: string): Later<Reply | undefined> {
    const { connection } = session;
    if (this.isTrusted(connection)) return undefined;
    const refusal = this.#tooManyUnknown(connection) ?? this.#count("recipients", connection, 450);
    // RFC 5321 §4.5.1: whoever is listed by mistake must be able to say so.
    const isPostmaster = /^postmaster@/i.test(path);
    if (refusal !== undefined || this.#lists.length === 0 || isPostmaster) return refusal;
    let listing = this.#listings.get(session);
    if (listing === undefined) {
      listing = this.#ask(connection, this.#ports.events.listAsked);
      this.#listings.set(session, listing);
    }
    return listing.then((found) =>
      found === undefined ? undefined : this.#listed(session, found),
    );
  }

  unknown(connection: Connection): void {
    this.#rates.take("unknown", clientOf(connection)); // of trusted ones nobody asks
  }

  greylisted(
    session: SmtpSession,
    path: string,
    spf: Promise<SpfVerdict> | undefined,
  ): Later<Reply | undefined> {
    const { greylist } = this.#ports;
    const { connection } = session;
    if (greylist === undefined || this.isTrusted(connection)) return undefined;
    return this.#tryAgain(greylist, session, path, spf);
  }

  opinions(session: SmtpSession): readonly Opinion[] {
    const found = this.#found.get(session);
    if (found === undefined || this.#ports.settings.blockListEffect === "reject") return [];
    const because = `the client is on ${found.zone}: ${found.reason}`;
    return [{ stage: "block-list", disposition: "quarantine", because }];
  }

  async #tryAgain(
    greylist: Greylist,
    { connection, envelope }: SmtpSession,
    recipient: string,
    spf: Promise<SpfVerdict> | undefined,
  ): Promise<Reply | undefined> {
    const verdict = await spf?.catch(() => undefined);
    const waitMs = greylist.ask({
      clientAddress: connection.clientAddress,
      reversePath: envelope?.reversePath ?? "",
      recipient,
      ...(verdict?.result === "pass" && { vouchedBy: verdict.domain }),
    });
    if (waitMs === 0) return undefined;
    const text = `greylisted, try again in ${inSeconds(waitMs)}`;
    return this.#refuse("greylist", connection, { code: 451, status: "4.7.1", text });
  }

  /** The same answer whether the next recipient exists or not, and the end. */
  #tooManyUnknown(connection: Connection): Reply | undefined {
    const waitMs = this.#rates.wait("unknown", clientOf(connection));
    if (waitMs === 0) return undefined;
    const text = `too many recipients that do not exist, try again in ${inSeconds(waitMs)}`;
    return this.#refuse("unknown-recipients", connection, { code: 421, status: "4.7.1", text });
  }

  /** Whose network it is; what its connector asks for besides is looked at when it sends. */
  #isPartners({ clientAddress, connector }: Connection): boolean {
    if (connector !== undefined) return true;
    const networks = this.#ports.policy.current?.inbound?.flatMap((one) => one.networks) ?? [];
    return isOwnRelay(
      clientAddress,
      networks.flatMap((text) => parseRange(text) ?? []),
    );
  }

  #count(
    kind: Exclude<RateKind, "unknown">,
    connection: Connection,
    code: number,
  ): Reply | undefined {
    const client = clientOf(connection);
    const waitMs = this.#rates.take(kind, client);
    if (waitMs === 0) return undefined;
    const most = this.#ports.settings[`${kind}PerMinute`];
    const text = `more than ${most} ${kind} a minute from ${client}, try again in ${inSeconds(waitMs)}`;
    return this.#refuse(kind, connection, { code, status: "4.7.1", text });
  }

  #ask(
    { clientAddress }: Connection,
    asked: AbuseEvents["listAsked"],
  ): Promise<Listing | undefined> {
    const { resolver, clock } = this.#ports;
    return askBlockLists(clientAddress, this.#lists, { resolver, clock, asked });
  }

  #listed(session: SmtpSession, found: Listing): Reply | undefined {
    this.#found.set(session, found);
    if (this.#ports.settings.blockListEffect !== "reject") return undefined;
    const { connection } = session;
    const text = `${connection.clientAddress} is on ${found.zone}: ${found.reason}`;
    return this.#refuse("block-list", connection, { code: 550, status: "5.7.1", text });
  }

  #refuse(reason: AbuseReason, { clientAddress }: Connection, reply: Reply): Reply {
    this.#ports.events.refused(reason, clientAddress);
    return reply;
  }
}

const busyNow: Reply = { code: 421, status: "4.3.2", text: "too busy, try again later" };
const busyLater: Reply = { code: 451, status: "4.3.2", text: "too busy, try again later" };
const notReady: Reply = { code: 421, status: "4.3.2", text: "not ready yet, try again later" };
const notYou: Reply = {
  code: 554,
  status: "5.7.1",
  text: "mail for us goes to the hosts that our MX records name",
};

function clientOf({ clientAddress }: Connection): string {
  return clientNetwork(clientAddress);
}

function inSeconds(waitMs: number): string {
  return `${Math.ceil(waitMs / 1000)} s`;
}
