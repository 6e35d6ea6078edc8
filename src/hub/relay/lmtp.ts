/** The LMTP door: a mail server of ours hands in mail for mailboxes here (RFC 2033). */

import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import type { Deposit, DepositOutcome, PolicySnapshot } from "#contracts/deposit";
import type { Directory } from "#contracts/directory";
import { formatResult } from "#formats/auth-results";
import { fields } from "#formats/message";
import { type IdentityRules, identityRules, MessageChecks } from "#identity/checks";
import type { Reply } from "#model/reply";
import type { TraceStep } from "#model/trace";
import { decide, weighIdentity } from "#policy";
import {
  type ContentSink,
  createSmtpServer,
  type SmtpHandler,
  type SmtpServer,
  type SmtpServerOptions,
  type Transaction,
} from "#transport/smtp-server";
import { type InboundPorts, takeHanded } from "../inbound.ts";
import type { DoorPeers } from "./peers.ts";
import { type RecipientPorts, refuseRecipient } from "./recipients.ts";

export interface LmtpPorts extends RecipientPorts {
  readonly options: Omit<SmtpServerOptions, "listener" | "implicitTls" | "proxyTrusted" | "tls">;
  readonly directory: Directory;
  /** Absent on a socket, whose permissions say who may connect. */
  readonly peers?: DoorPeers;
  readonly inbound: InboundPorts;
  readonly identity: Pick<PolicySnapshot, "ownRelays" | "trustedSealers" | "praMode" | "rules">;
  readonly resolver: Resolver;
  readonly clock: Clock;
}

/** RFC 5321 §6.3. */
const mostReceived = 100;

const unknown: Reply = { code: 550, status: "5.1.1", text: "no such user here" };
const foreign: Reply = { code: 550, status: "5.7.1", text: "no domain of ours" };
const looping: Reply = { code: 554, status: "5.4.6", text: "this message goes round in circles" };
const uninvited: Reply = { code: 554, status: "5.7.1", text: "no connector is for your address" };

export function lmtpServer(ports: LmtpPorts): SmtpServer {
  const { options, peers, directory } = ports;
  const handler: SmtpHandler = {
    connected: ({ clientAddress }) =>
      peers === undefined || peers.isInvited(clientAddress) ? undefined : uninvited,
    mail: ({ connection }, { reversePath }) => peers?.refuse(connection, reversePath),
    recipient(_session, path) {
      const domain = path.slice(path.lastIndexOf("@") + 1);
      return directory.isLocalDomain(domain) ? refuseRecipient(path, ports) : foreign;
    },
    begin: (transaction) => new LmtpSink(transaction, ports),
  };
  const tls = peers?.tls?.bind(peers);
  const secured = peers === undefined ? {} : { ...(tls && { tls }), sasl: peers, peers };
  return createSmtpServer(
    {
      ...{ ...options, ...secured, listener: "lmtp", protocol: "lmtp" as const },
      ...{ implicitTls: false, proxyTrusted: [] },
    },
    handler,
  );
}

/** Judged as from who gave it to that server: its Received field says so, and it is one of ours. */
class LmtpSink implements ContentSink {
  readonly #transaction: Transaction;
  readonly #ports: LmtpPorts;
  readonly #checks: MessageChecks;
  readonly #handed: ReturnType<typeof takeHanded>;

  constructor(transaction: Transaction, ports: LmtpPorts) {
    this.#transaction = transaction;
    this.#ports = ports;
    const { connection, envelope } = transaction;
    const { hostname } = ports.options;
    const delivered = {
      ip: connection.clientAddress,
      helo: connection.helo,
      mailFrom: envelope.reversePath,
      receiver: hostname,
    };
    const rules = rulesFor(connection.clientAddress, ports.identity);
    this.#checks = new MessageChecks(delivered, rules, ports);
    // The server vouches for nobody: a connector or a login here would make a partner of everyone.
    const { connector: _connector, authenticated: _login, ...asked } = connection;
    const from = { ...transaction, connection: asked };
    const deposit: Deposit = { ...from, receivedBy: hostname, steps: [] };
    this.#handed = takeHanded(deposit, ports.inbound);
  }

  write(chunk: Buffer): void | Promise<void> {
    this.#checks.write(chunk);
    return this.#handed.write(chunk);
  }

  async end(facts: {
    readonly contentId: string;
    readonly sizeBytes: number;
  }): Promise<Reply | readonly Reply[]> {
    const { directory, identity, clock } = this.#ports;
    const { recipients } = this.#transaction.envelope;
    // Accounts may have gone since RCPT: each recipient has a reply of its own, so none is put off.
    const here = recipients.filter(({ path }) => directory.resolve(path).length > 0);
    const findings = await this.#checks.finish();
    const isLooping = fields(findings.header, "received").length > mostReceived;
    if (here.length === 0 || isLooping) {
      this.#handed.abort();
      return isLooping ? looping : unknown;
    }
    const { verdicts, source } = findings;
    const decision = decide(weighIdentity(verdicts, identity.rules));
    const step = (name: string, text: string): TraceStep => ({
      ...{ atMs: clock.nowMs(), program: "hub", step: name, text: text.slice(0, 1000) },
    });
    const steps = [
      step("content", `${facts.sizeBytes} octets received by LMTP`),
      ...verdicts.map((one) => step("checked", formatResult(one))),
    ];
    const end = { ...facts, verdicts, source, decision, steps };
    const outcome = await this.#handed.end(end, here);
    return recipients.map((one) => (here.includes(one) ? replyOf(outcome) : unknown));
  }

  abort(): void {
    this.#handed.abort();
  }
}

function rulesFor(client: string, identity: LmtpPorts["identity"]): IdentityRules {
  return identityRules({ ...identity, ownRelays: [...identity.ownRelays, client] });
}

function replyOf(outcome: DepositOutcome): Reply {
  if (!outcome.committed) return outcome.reply;
  return { code: 250, status: "2.0.0", text: "kept" };
}
