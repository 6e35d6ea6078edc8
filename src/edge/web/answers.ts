/** Answers that the edge gives by itself. */

import { Buffer } from "node:buffer";
import type { HeaderList } from "#contracts/web";
import { errorPage, ownHeaders, pagePolicy } from "#proxy";
import type { Incoming } from "./incoming.ts";

/** @param extra stands beside the fields of every own answer, or in place of them by name */
export function sendPage(
  incoming: Incoming,
  status: number,
  page: string,
  extra: HeaderList = [],
): void {
  sendText(incoming, status, page, [
    ["content-type", "text/html; charset=utf-8"],
    ["content-security-policy", pagePolicy],
    ...extra,
  ]);
}

/** A page for people, a problem document for programs (RFC 9457). */
export function sendError(
  incoming: Incoming,
  status: number,
  forPeople: boolean,
  extra: HeaderList = [],
): void {
  if (forPeople) return sendPage(incoming, status, errorPage(status), extra);
  sendText(incoming, status, JSON.stringify({ type: "about:blank", status }), [
    ["content-type", "application/problem+json"],
    ...extra,
  ]);
}

/** 303: whatever was asked, the next request is a GET (RFC 9110 §15.4.4). */
export function sendRedirect(
  incoming: Incoming,
  location: string,
  cookies: readonly string[] = [],
  extra: HeaderList = [],
): void {
  const set = cookies.map((cookie) => ["set-cookie", cookie] as const);
  sendText(incoming, 303, "", [["location", location], ...set, ...extra]);
}

/** @param extra says what the text is */
export function sendText(
  incoming: Incoming,
  status: number,
  text: string,
  extra: HeaderList,
): void {
  if (incoming.answered) return;
  const body = Buffer.from(text);
  incoming.answer(status, ownHeaders(extra), body.length, body);
}
