/** Calls to the server: JMAP over fetch, with the three ways it can fail told apart (RFC 8620). */

import type { Answers, ReadByOther, Session } from "./types.ts";

/** The session is over: sign in again. */
export class SignedOut extends Error {}
/** The server is out of reach; trying later may help. */
export class Unreachable extends Error {}
/** The server refused the call. */
export class Refused extends Error {
  /** What a problem of the server names (RFC 9457 §3.1.1), without what all have in common. */
  readonly why: string;

  constructor(message: string, why = "") {
    super(message);
    this.why = why;
  }
}

type Method = keyof Answers;
type Call = readonly [method: Method, args: Readonly<Record<string, unknown>>, id: string];
/** The answer to each call, in the order of the calls. */
type AnswersTo<Calls extends readonly Call[]> = {
  readonly [At in keyof Calls]: Answers[Calls[At][0]];
};
type MethodResponse = readonly [
  name: string,
  answer: { readonly description?: string },
  id: string,
];

const using = [
  "urn:ietf:params:jmap:core",
  "urn:ietf:params:jmap:mail",
  "urn:ietf:params:jmap:submission",
];

const left = new AbortController();
/** Aborted once the reader signs out: nothing is asked any more, and no answer is waited for. */
export const leaving: AbortSignal = left.signal;

/** Called when the form that signs out is sent; without effect where a dialog keeps the page. */
export function leave(): void {
  const go = (event: BeforeUnloadEvent): void => {
    if (!event.defaultPrevented) left.abort();
  };
  window.addEventListener("beforeunload", go, { once: true });
}

async function ask(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    const always = { credentials: "same-origin", redirect: "error", signal: leaving } as const;
    response = await fetch(path, { ...init, ...always });
  } catch (cause) {
    // The page is about to go: whoever waits shall not draw a failure on it.
    if (leaving.aborted) return new Promise(() => undefined);
    throw new Unreachable("The server cannot be reached.", { cause });
  }
  if (response.status === 401) throw new SignedOut("The session has ended.");
  if (response.status >= 500) throw new Unreachable("The mail server does not answer.");
  if (response.status === 413) throw new Refused("That is too large for this server.");
  if (!response.ok) throw new Refused("The server refused that.", await problemOf(response));
  return response;
}

async function problemOf(response: Response): Promise<string> {
  try {
    return String(((await response.json()) as { type?: string }).type).replace(/^.*:/, "");
  } catch {
    return "";
  }
}

/** A call whose body and answer are JSON, outside of JMAP. */
export async function askJson<Answer>(path: string, body?: object): Promise<Answer> {
  const headers = { "content-type": "application/json" };
  const init = body && { method: "POST", headers, body: JSON.stringify(body) };
  return (await ask(path, init ?? {})).json() as Promise<Answer>;
}

export interface SessionTimes {
  readonly idleEndsInSeconds: number;
  readonly absoluteEndsInSeconds: number;
  readonly publicComputer: boolean;
  /** A second factor must be set up before anything else. */
  readonly mustEnrol: boolean;
}

/** Asking does not prolong it. */
export function fetchSessionTimes(): Promise<SessionTimes> {
  return askJson("/session");
}

export function extendSession(): Promise<SessionTimes> {
  return askJson("/session/extend", {});
}

export async function fetchSession(): Promise<Session> {
  return (await ask("/jmap/session", {})).json();
}

/** @param background true for what nobody asked for: it does not keep the session alive */
export async function callMethods<const Calls extends readonly Call[]>(
  calls: Calls,
  background = false,
): Promise<AnswersTo<Calls>> {
  const response = await ask(background ? "/jmap/api?background=1" : "/jmap/api", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ using, methodCalls: calls }),
  });
  const { methodResponses } = (await response.json()) as { methodResponses: MethodResponse[] };
  const answers = calls.map(([method, , id]) => {
    const own = methodResponses.filter((one) => one[2] === id);
    const found = own.find((one) => one[0] === method) ?? own[0];
    if (found?.[0] !== method) throw new Refused(found?.[1].description ?? "That did not work.");
    return found[1];
  });
  return answers as unknown as AnswersTo<Calls>;
}

export interface Uploaded {
  readonly blobId: string;
  readonly type: string;
  readonly size: number;
}

export async function uploadFile(accountId: string, file: File): Promise<Uploaded> {
  const response = await ask(`/jmap/upload/${encodeURIComponent(accountId)}`, {
    method: "POST",
    headers: { "content-type": file.type || "application/octet-stream" },
    body: file,
  });
  return response.json();
}

export function downloadPath(accountId: string, blobId: string, name: string): string {
  // The front refuses names with delimiters in them; a file name does not need them.
  const plain = name.replace(/[/\\;%\p{Cc}]/gu, "_").replace(/\.+$/, "") || "attachment";
  return `/jmap/download/${[accountId, blobId, plain].map(encodeURIComponent).join("/")}`;
}

/** Who else has read our mail, newest first. */
export async function readsByOthers(background = false): Promise<readonly ReadByOther[]> {
  const response = await ask(background ? "/mail/reads?background=1" : "/mail/reads", {});
  return response.json();
}

/** How many things a message would fetch from elsewhere. */
export async function remoteCount(emailId: string): Promise<number> {
  const response = await ask(`/mail/message/${encodeURIComponent(emailId)}/remote`, {});
  return ((await response.json()) as { count: number }).count;
}
