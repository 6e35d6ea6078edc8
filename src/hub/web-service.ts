/** Joins sessions and JMAP to the web service that answers the web edge. */

import { createJmap, isProblem } from "#access/jmap";
import { Unavailable } from "#base/errors";
import type { LinkStream } from "#contracts/link";
import type { Store } from "#contracts/store";
import type { Submit } from "#contracts/submission";
import { displayAddress } from "#identity/sender";
import type { AccountId, MessageId } from "#model/mailbox";
import type { Inside } from "./inside.ts";
import { createPublisher, publishEvents } from "./publish/index.ts";
import type { SignIn } from "./sign-in.ts";
import type { MailServices } from "./web/autoconfig.ts";
import { createWebService, type ShownRead, type WebJmap } from "./web/index.ts";

export interface WebDoor extends Disposable {
  /** Takes streams of kind login, logout and web. */
  handle(stream: LinkStream): void;
  /** Ends what an account has open or under way. */
  signOut(account: AccountId): void;
}

/** @throws Misconfigured when the authorities of a published application cannot be read */
export function webService(inside: Inside, submit: Submit, signIn: SignIn): WebDoor {
  const { settings, directory, clock, log, registry } = inside;
  const { sessions, login } = signIn;
  const service = createWebService({
    jmap: webJmap(inside, submit),
    sessions,
    directory,
    account: signIn.account,
    services: mailServices(inside),
    reads: (person) => shownReads(inside.store, person.id),
    clock,
    log,
    distDirectory: settings.distDirectory,
  });
  const publisher = createPublisher({
    applications: settings.publish,
    hosts: settings.publishedHosts,
    sessions,
    person: (account) => directory.person(account),
    hasAppPassword: (account, id) => directory.hasAppPassword(account, id),
    basic: (name, password, from) => login.basic(name, password, from),
    postern: (stream, ask) => service.serve(stream, ask),
    events: publishEvents(log, registry, clock),
    clock,
  });
  return {
    handle: (stream) => (stream.kind === "web" ? publisher : login).handle(stream),
    signOut: (account) => signIn.signOut(account),
    [Symbol.dispose]: () => publisher[Symbol.dispose](),
  };
}

/** What a client is told must be in the certificate that these doors show, wherever they stand. */
function mailServices({ settings, directory }: Inside): MailServices {
  const { hostname, domain, listen, publishedClients, certificates } = settings;
  const { imaps = listen.imap, submissions = listen.submission } = publishedClients;
  return {
    hostname: certificates.places.hub.names.find((name) => !name.startsWith("*")) ?? hostname,
    domain,
    isOurDomain: (asked) => directory.isLocalDomain(asked),
    ports: { imaps: imaps.port, submissions: submissions.port },
  };
}

/** As many as somebody may want to see. */
const shownReadsCount = 100;

async function shownReads(
  { audit, messages }: Pick<Store, "audit" | "messages">,
  account: AccountId,
): Promise<ShownRead[]> {
  const reads = await audit.readsOf(account, 0, shownReadsCount);
  const subjectOf = async (message: MessageId): Promise<string | null> => {
    try {
      return (await messages.describe(message)).envelope.subject;
    } catch (error) {
      if (error instanceof Unavailable) return null;
      throw error;
    }
  };
  return Promise.all(
    reads.map(async ({ atMs, by, reason, message }) => {
      return { atMs, by, reason, message, subject: await subjectOf(message) };
    }),
  );
}

function webJmap(inside: Inside, submit: Submit): WebJmap {
  const { store, directory, clock, random, log } = inside;
  const jmap = createJmap(
    { store, directory, submit, clock, random, shownAddress: displayAddress },
    log,
  );
  const statusOf = (value: object, good: number): number =>
    isProblem(value) ? value.status : good;
  return {
    session: async (person, baseUrl) => jmap.session(person, `${baseUrl}/jmap`),
    async api(person, body, clientAddress) {
      const answer = await jmap.api(person, body, clientAddress);
      return { status: statusOf(answer, 200), body: answer };
    },
    async upload(person, account, type, octets) {
      if (account !== person.id) return { status: 404, body: { type: "about:blank", status: 404 } };
      const answer = await jmap.upload(person, type, octets);
      return { status: statusOf(answer, 201), body: answer };
    },
    async download(person, account, blobId) {
      if (account !== person.id) return undefined;
      const found = await jmap.download(person, blobId);
      return found && { type: found.type, sizeBytes: found.sizeBytes, octets: found.stream };
    },
    watch: (person, listener) => jmap.changes(person, listener),
  };
}
