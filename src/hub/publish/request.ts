/** The header of a stream of kind web, checked like anything foreign: the edge may be taken over. */

import { isIP } from "node:net";
import type { HeaderList, WebRequest } from "#contracts/web";

const application = /^[a-z][a-z0-9-]{0,31}$/;
/** RFC 9110 §9: those that could make a tunnel or an echo of somebody's credentials are left out. */
const method = /^(?!CONNECT$|TRACE$)[A-Z][A-Z_-]{0,31}$/;
/** Origin form in visible ASCII (RFC 9112 §3.2.1). */
const target = /^\/[\x21-\x7e]{0,8191}$/;
/** No token has to be more: some applications read "_", "." and the like as "-". */
const headerName = /^[a-z0-9-]{1,256}$/;
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/;
const host = /^[a-z0-9.:[\]-]{1,270}$/;
const handle = /^[A-Za-z0-9_-]{16,256}$/;

const headersMaxCount = 256;
const headersMaxLength = 65_536;
const credentialMaxLength = 1024;

/** @param header untrusted; what is returned holds nothing that was not looked at */
export function readWebRequest(header: unknown): WebRequest | undefined {
  if (typeof header !== "object" || header === null) return undefined;
  const ask = header as Partial<Readonly<Record<keyof WebRequest, unknown>>>;
  const fits =
    isTextOf(ask.application, application) &&
    isTextOf(ask.method, method) &&
    isTextOf(ask.target, target) &&
    isTextOf(ask.host, host) &&
    isHeaderList(ask.headers) &&
    isBody(ask.body) &&
    typeof ask.clientAddress === "string" &&
    ask.clientAddress.length <= 45 &&
    isIP(ask.clientAddress) !== 0 &&
    (ask.session === undefined || isTextOf(ask.session, handle)) &&
    (ask.basic === undefined || isBasic(ask.basic)) &&
    (ask.anonymous === undefined || ask.anonymous === true) &&
    (ask.upgrade === undefined || isUpgrade(ask));
  if (!fits) return undefined;
  const { session, basic, anonymous, upgrade } = ask as WebRequest;
  return {
    application: ask.application as string,
    method: ask.method as string,
    target: ask.target as string,
    headers: ask.headers as HeaderList,
    body: ask.body as WebRequest["body"],
    clientAddress: ask.clientAddress as string,
    host: ask.host as string,
    ...(session !== undefined && { session }),
    ...(basic !== undefined && { basic: { name: basic.name, password: basic.password } }),
    ...(anonymous && { anonymous }),
    ...(upgrade !== undefined && { upgrade }),
  };
}

function isTextOf(value: unknown, pattern: RegExp): boolean {
  return typeof value === "string" && pattern.test(value);
}

function isHeaderList(value: unknown): boolean {
  if (!Array.isArray(value) || value.length > headersMaxCount) return false;
  let length = 0;
  for (const field of value as readonly unknown[]) {
    if (!Array.isArray(field) || field.length !== 2) return false;
    const [name, text] = field as readonly unknown[];
    if (!isTextOf(name, headerName) || !isTextOf(text, headerValue)) return false;
    length += (name as string).length + (text as string).length;
  }
  return length <= headersMaxLength;
}

function isBody(value: unknown): boolean {
  return value === "chunked" || (Number.isSafeInteger(value) && (value as number) >= 0);
}

function isBasic(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { name, password } = value as Readonly<Record<string, unknown>>;
  return isCredential(name) && isCredential(password);
}

function isCredential(value: unknown): boolean {
  return typeof value === "string" && value.length <= credentialMaxLength;
}

/** Raw octets follow, so nothing else may (RFC 6455 §4.1). */
function isUpgrade(ask: Readonly<Record<string, unknown>>): boolean {
  return ask["upgrade"] === "websocket" && ask["method"] === "GET" && ask["body"] === 0;
}
