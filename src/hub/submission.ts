/** Submission on implicit TLS (RFC 6409, RFC 8314): our own people, authenticated; octets to `submit`. */

import { buffer } from "#base/bytes";
import type { Directory, Person } from "#contracts/directory";
import type { Submit } from "#contracts/submission";
import type { Connection } from "#model/connection";
import type { AccountId } from "#model/mailbox";
import type { Reply } from "#model/reply";
import {
  type ContentSink,
  createSmtpServer,
  type SmtpHandler,
  type SmtpServer,
  type SmtpServerOptions,
  type Transaction,
} from "#transport/smtp-server";

export interface SubmissionPorts {
  readonly options: Omit<SmtpServerOptions, "listener" | "implicitTls" | "auth" | "proxyTrusted">;
  readonly directory: Directory;
  readonly submit: Submit;
  revocations(account: AccountId): number;
}

export function submissionServer(ports: SubmissionPorts): SmtpServer {
  const { options, directory } = ports;
  const handler: SmtpHandler = {
    mail({ connection }, { reversePath }) {
      const person = personOf(connection, ports);
      // The session's login is over, and it may have no other (RFC 4954 §4).
      if (person === undefined) return { code: 421, status: "4.7.0", text: "log in again" };
      if (reversePath === "" || directory.maySendAs(person.id, reversePath)) return undefined;
      return { code: 550, status: "5.7.1", text: "this login may not send with that return path" };
    },
    recipient(_session, path): Reply | undefined {
      const domain = path.slice(path.lastIndexOf("@") + 1);
      if (!directory.isLocalDomain(domain) || directory.resolve(path).length > 0) return undefined;
      return { code: 550, status: "5.1.1", text: "no such user here" };
    },
    begin: (transaction) => sink(transaction, ports),
  };
  return createSmtpServer(
    {
      ...options,
      listener: "submission",
      implicitTls: true,
      proxyTrusted: [],
      auth: {
        required: true,
        async verify(name, password, from) {
          const outcome = await directory.login(name, password, "submission", from);
          if (!outcome.ok) return outcome;
          const { person, appPassword } = outcome;
          const revocations = ports.revocations(person.id);
          const login = { revocations, ...(appPassword !== undefined && { appPassword }) };
          return { ok: true, address: person.address, login };
        },
      },
    },
    handler,
  );
}

/** Nobody any more, once the account or its password is another, or the app password is gone. */
function personOf(
  { authenticated, login }: Connection,
  { directory, revocations }: Pick<SubmissionPorts, "directory" | "revocations">,
): Person | undefined {
  if (authenticated === undefined || login === undefined) return undefined;
  const person = directory.personByAddress(authenticated);
  if (person === undefined || revocations(person.id) !== login.revocations) return undefined;
  const { appPassword } = login;
  if (appPassword === undefined) return person;
  return directory.hasAppPassword(person.id, appPassword) ? person : undefined;
}

/** Holds one message: signing needs the body's hash before the first octet may be committed. */
function sink(transaction: Transaction, ports: SubmissionPorts): ContentSink {
  const octets: Buffer[] = [];
  return {
    write(chunk) {
      octets.push(buffer(chunk));
    },
    async end() {
      const person = personOf(transaction.connection, ports);
      if (person === undefined) return { code: 530, status: "5.7.0", text: "authenticate first" };
      const { login: _, ...connection } = transaction.connection;
      return ports.submit({ ...transaction, connection, account: person.id, octets });
    },
    abort() {
      octets.length = 0;
    },
  };
}
