/** Submission on implicit TLS (RFC 6409, RFC 8314): our own people, authenticated; octets to `submit`. */

import { buffer } from "#base/bytes";
import type { Directory } from "#contracts/directory";
import type { Submit } from "#contracts/submission";
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
}

export function submissionServer({ options, directory, submit }: SubmissionPorts): SmtpServer {
  const handler: SmtpHandler = {
    mail({ connection }, { reversePath }) {
      const person = personOf(connection.authenticated, directory);
      if (person === undefined) return { code: 530, status: "5.7.0", text: "authenticate first" };
      if (reversePath === "" || directory.maySendAs(person.id, reversePath)) return undefined;
      return { code: 550, status: "5.7.1", text: "this login may not send with that return path" };
    },
    recipient(_session, path): Reply | undefined {
      const domain = path.slice(path.lastIndexOf("@") + 1);
      if (!directory.isLocalDomain(domain) || directory.resolve(path).length > 0) return undefined;
      return { code: 550, status: "5.1.1", text: "no such user here" };
    },
    begin: (transaction) => sink(transaction, directory, submit),
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
          return outcome.ok ? { ok: true, address: outcome.person.address } : outcome;
        },
      },
    },
    handler,
  );
}

function personOf(
  address: string | undefined,
  directory: Directory,
): ReturnType<Directory["personByAddress"]> {
  return address === undefined ? undefined : directory.personByAddress(address);
}

/** Holds one message: signing needs the body's hash before the first octet may be committed. */
function sink(transaction: Transaction, directory: Directory, submit: Submit): ContentSink {
  const octets: Buffer[] = [];
  return {
    write(chunk) {
      octets.push(buffer(chunk));
    },
    async end() {
      const person = personOf(transaction.connection.authenticated, directory);
      if (person === undefined) return { code: 530, status: "5.7.0", text: "authenticate first" };
      return submit({ ...transaction, account: person.id, octets });
    },
    abort() {
      octets.length = 0;
    },
  };
}
