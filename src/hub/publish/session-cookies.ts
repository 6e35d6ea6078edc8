/**
 * Cookies of an application, bound to the session in which it set them: who signs in next at the same
 * browser does not go on in the application as whoever was there before. Only HttpOnly ones can be
 * sealed without the pages noticing (RFC 6265 §4.1.2.6), and those are the ones that keep a login.
 */

import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv } from "node:crypto";
import { systemRandom } from "#base/random";
import type { HeaderList } from "#contracts/web";

export interface CookieSeal {
  /** Fields of a request: what was sealed in this session is opened, what in another is left out. */
  opened(headers: HeaderList): HeaderList;
  /** Fields of an answer. */
  sealed(headers: HeaderList): HeaderList;
}

/** One visitor of one application. */
export type CookieSeals = (application: string, session: string) => CookieSeal;

const mark = "~postern~";
/** Browsers take a cookie of that length, attributes and all, and need not take more (RFC 6265 §6.1). */
const maxLength = 4096;
const algorithm = "aes-256-gcm";
const [keyBytes, nonceBytes, tagBytes] = [32, 12, 16];

/** The key lives as long as the process: a cookie from before it is one of another session. */
export function cookieSeals(): CookieSeals {
  const key = systemRandom.bytes(keyBytes);
  return (application, session) => {
    const boundTo = (name: string): Buffer =>
      Buffer.from(JSON.stringify([session, application, name]));
    return {
      opened: (headers) =>
        withCookies(headers, (name, value) => open(key, boundTo(name), value.slice(mark.length))),
      sealed: (headers) =>
        headers.map((field) =>
          field[0] === "set-cookie" ? ["set-cookie", sealField(key, boundTo, field[1])] : field,
        ),
    };
  };
}

/** Where there is no session, nothing that was sealed in one may come in. */
export const withoutSession: CookieSeal = {
  opened: (headers) => withCookies(headers, () => undefined),
  sealed: (headers) => headers,
};

/** @param read gives the value that a sealed one stands for, or nothing where it must not go on */
function withCookies(
  headers: HeaderList,
  read: (name: string, value: string) => string | undefined,
): HeaderList {
  if (!headers.some(([field, value]) => field === "cookie" && value.includes(mark))) return headers;
  return headers.flatMap(([field, value]): HeaderList => {
    if (field !== "cookie") return [[field, value]];
    const kept = value.split(";").flatMap((part) => {
      const [name, given] = pairOf(part);
      if (!given.startsWith(mark)) return part.trim() === "" ? [] : [part.trim()];
      const opened = read(name, given);
      return opened === undefined ? [] : [`${name}=${opened}`];
    });
    return kept.length === 0 ? [] : [["cookie", kept.join("; ")]];
  });
}

function sealField(key: Buffer, boundTo: (name: string) => Buffer, field: string): string {
  const end = field.indexOf(";");
  if (end < 0 || !/;\s*httponly\s*(?:;|$)/i.test(field)) return field;
  const [name, value] = pairOf(field.slice(0, end));
  if (value === "") return field; // such a one is being removed
  const nonce = systemRandom.bytes(nonceBytes);
  const cipher = createCipheriv(algorithm, key, nonce).setAAD(boundTo(name));
  const octets = [nonce, cipher.update(value, "latin1"), cipher.final(), cipher.getAuthTag()];
  const sealed = `${name}=${mark}${Buffer.concat(octets).toString("base64url")}${field.slice(end)}`;
  return sealed.length <= maxLength ? sealed : field;
}

function open(key: Buffer, boundTo: Buffer, text: string): string | undefined {
  const octets = Buffer.from(text, "base64url");
  if (octets.length < nonceBytes + tagBytes) return undefined;
  const tagAt = octets.length - tagBytes;
  const decipher = createDecipheriv(algorithm, key, octets.subarray(0, nonceBytes), {
    authTagLength: tagBytes,
  });
  decipher.setAAD(boundTo).setAuthTag(octets.subarray(tagAt));
  const value = decipher.update(octets.subarray(nonceBytes, tagAt)).toString("latin1");
  try {
    decipher.final();
    return value;
  } catch {
    return undefined; // of another session, or made up
  }
}

function pairOf(part: string): readonly [name: string, value: string] {
  const equals = part.indexOf("=");
  if (equals < 0) return ["", part.trim()];
  return [part.slice(0, equals).trim(), part.slice(equals + 1).trim()];
}
