/** Joins sessions and JMAP to the web service that answers the web edge. */

import { createJmap, isProblem } from "#access/jmap";
import { createSessions } from "#access/sessions";
import type { LinkStream } from "#contracts/link";
import type { Submit } from "#contracts/submission";
import type { AccountId } from "#model/mailbox";
import type { Inside } from "./inside.ts";
import { createWebService, type WebJmap } from "./web/index.ts";

const minuteMs = 60_000;
const sessionTimes = {
  idleMs: 60 * minuteMs,
  absoluteMs: 12 * 60 * minuteMs,
  publicIdleMs: 10 * minuteMs,
  publicAbsoluteMs: 60 * minuteMs,
};

export interface WebDoor {
  /** Takes streams of kind login, logout and web. */
  handle(stream: LinkStream): void;
  /** Ends every web session of an account. */
  signOut(account: AccountId): void;
}

export function webService(inside: Inside, submit: Submit): WebDoor {
  const sessions = createSessions({ clock: inside.clock, random: inside.random, ...sessionTimes });
  const service = createWebService({
    jmap: webJmap(inside, submit),
    sessions,
    directory: inside.directory,
    clock: inside.clock,
    log: inside.log,
    distDirectory: inside.settings.distDirectory,
  });
  return {
    handle: (stream) => service.handle(stream),
    signOut: (account) => void sessions.revokeAll(account),
  };
}

function webJmap(inside: Inside, submit: Submit): WebJmap {
  const { store, directory, clock, random, log } = inside;
  const jmap = createJmap({ store, directory, submit, clock, random }, log);
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
