/** One request over the link and its answer back, with the slower side setting the pace. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "#base/clock";
import { Unavailable } from "#base/errors";
import type { Link, LinkStream, StreamKind } from "#contracts/link";
import type { WebRequest, WebResponse } from "#contracts/web";
import { relayedHeaders } from "#proxy";
import { sendError } from "./answers.ts";

/** The links that are up now; undefined when there is none for that kind. */
export interface EdgeLinks {
  forKind(kind: StreamKind): Link | undefined;
}

export interface Relay {
  readonly links: EdgeLinks;
  readonly clock: Clock;
  readonly answerTimeoutMs: number;
  /** The inside knows the session no longer; nothing was answered yet. */
  onSessionGone(response: ServerResponse): void;
  onLinkDown(): void;
}

/** The browser's end of one request. */
export interface Browser {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** As the checked head says; 0 means that none is read. */
  readonly bodyBytes: number;
  /** A person looks at the answer, so a refusal is a page. */
  readonly forPeople: boolean;
}

export function relay(to: Relay, ask: WebRequest, browser: Browser): void {
  const { request, response, bodyBytes, forPeople } = browser;
  let stream: LinkStream;
  try {
    const link = to.links.forKind("web");
    if (link === undefined) throw new Unavailable("no link");
    stream = link.open("web", ask, bodyBytes === 0 ? { end: {} } : {});
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    to.onLinkDown();
    sendError(response, 503, forPeople, { "retry-after": "10" });
    return;
  }
  const patience = to.clock.after(to.answerTimeoutMs, () => {
    stream.abort("no answer in time");
    if (!response.headersSent) sendError(response, 504, forPeople);
  });
  response.once("close", () => {
    patience.cancel();
    if (!response.writableFinished) stream.abort("client went away");
  });
  const headed = stream.answered.then(
    (answer) => {
      patience.cancel();
      return writeHead(to, answer, browser);
    },
    () => {
      patience.cancel();
      if (!response.headersSent && !response.destroyed) {
        to.onLinkDown();
        sendError(response, 503, forPeople, { "retry-after": "10" });
      }
      return false;
    },
  );
  takeAnswer(stream, headed, response);
  if (bodyBytes > 0) sendBody(request, stream);
}

/** Resolves to whether the body of the answer is wanted. */
function writeHead(to: Relay, answer: unknown, browser: Browser): boolean {
  const { response, forPeople } = browser;
  if (response.headersSent || response.destroyed) return false;
  const checked = webResponse(answer);
  if (checked === undefined) {
    sendError(response, 502, forPeople);
    return false;
  }
  if (checked.status === 401) {
    to.onSessionGone(response);
    return false;
  }
  response.writeHead(checked.status, relayedHeaders(checked.headers));
  response.flushHeaders();
  return true;
}

function takeAnswer(stream: LinkStream, headed: Promise<boolean>, response: ServerResponse): void {
  let wanted: boolean | undefined;
  void headed.then((is) => {
    wanted = is;
  });
  const write = (chunk: Buffer): void | Promise<void> => {
    if (wanted !== true || response.destroyed || response.req.method === "HEAD") return;
    if (response.write(chunk)) return;
    return new Promise((resolve) => {
      const done = (): void => {
        response.off("drain", done);
        response.off("close", done);
        resolve();
      };
      response.once("drain", done);
      response.once("close", done);
    });
  };
  stream.receive({
    data: (chunk) => (wanted === undefined ? headed.then(() => write(chunk)) : write(chunk)),
    end: () => void headed.then((is) => is && response.end()),
    // Half an answer must not look whole: the connection breaks instead of ending.
    broken: () => void headed.then((is) => is && response.destroy()),
  });
}

function sendBody(request: IncomingMessage, stream: LinkStream): void {
  const stop = (): void => stream.abort("client went away");
  request.on("data", (chunk: Buffer) => {
    if (stream.send(chunk)) return;
    request.pause();
    stream.drained().then(
      () => request.resume(),
      () => request.destroy(),
    );
  });
  request.once("end", () => stream.end());
  request.once("error", stop);
  request.once("aborted", stop);
}

/** The inside is trusted, and still checked: a mistake there must not become a hole here. */
function webResponse(answer: unknown): WebResponse | undefined {
  if (typeof answer !== "object" || answer === null) return undefined;
  const { status, headers } = answer as Partial<WebResponse>;
  if (!Number.isInteger(status) || status === undefined || status < 200 || status > 599) {
    return undefined;
  }
  if (typeof headers !== "object" || headers === null) return undefined;
  return { status, headers };
}
