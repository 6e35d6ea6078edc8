/** Answers that the edge gives by itself. */

import type { ServerResponse } from "node:http";
import { errorPage, ownHeaders, pagePolicy } from "#proxy";

/** @param extra may name Set-Cookie several times, as an array */
export function sendPage(
  response: ServerResponse,
  status: number,
  page: string,
  extra: Readonly<Record<string, string | string[]>> = {},
): void {
  const body = Buffer.from(page);
  response.writeHead(status, {
    ...ownHeaders({
      "content-type": "text/html; charset=utf-8",
      "content-length": String(body.length),
      "content-security-policy": pagePolicy,
    }),
    ...extra,
  });
  response.end(response.req.method === "HEAD" ? undefined : body);
}

/** A page for people, a problem document for programs (RFC 9457). */
export function sendError(
  response: ServerResponse,
  status: number,
  forPeople: boolean,
  extra: Readonly<Record<string, string | string[]>> = {},
): void {
  // After a refusal the rest of the connection is not ours to interpret.
  const closing: Record<string, string> = response.req.complete ? {} : { connection: "close" };
  if (forPeople) {
    sendPage(response, status, errorPage(status), { ...closing, ...extra });
    return;
  }
  const body = JSON.stringify({ type: "about:blank", status });
  response.writeHead(status, {
    ...ownHeaders({
      "content-type": "application/problem+json",
      "content-length": String(body.length),
    }),
    ...closing,
    ...extra,
  });
  response.end(response.req.method === "HEAD" ? undefined : body);
}

/** 303: whatever was asked, the next request is a GET (RFC 9110 §15.4.4). */
export function sendRedirect(
  response: ServerResponse,
  location: string,
  cookies: readonly string[] = [],
  extra: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(303, {
    ...ownHeaders({ location, "content-length": "0", ...extra }),
    ...(cookies.length > 0 && { "set-cookie": [...cookies] }),
  });
  response.end();
}
