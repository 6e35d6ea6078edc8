/** What a browser sends for a login: a short form, each field once, bounded before it is read. */

import { Buffer } from "node:buffer";
import { randomBytes, timingSafeEqual } from "node:crypto";
import type { WebLogin, WebLoginFrom } from "#contracts/web";
import { type CheckedRequest, handleShape, parseForm, safeReturnPath } from "#proxy";
import type { Incoming } from "./incoming.ts";

/** Two names, a password, or the answer of a passkey; more was not filled in by a person. */
export const formMaxBytes = 16_384;

/** As the form says; in UTF-16 units. */
const passwordMaxLength = 1024;

export interface LoginForm {
  readonly token: string;
  readonly returnPath: string;
  readonly name: string;
  readonly publicComputer: boolean;
  /** What the inside is asked; absent when the fields make no step. */
  readonly login: WebLogin | undefined;
}

/** Resolves to undefined for a body that is not such a form, or that broke off. */
export async function readLoginForm(
  request: CheckedRequest,
  incoming: Incoming,
  from: WebLoginFrom,
): Promise<LoginForm | undefined> {
  const type = request.header("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/x-www-form-urlencoded") return undefined;
  const body = await readBody(request, incoming);
  const form = body === undefined ? undefined : parseForm(body);
  if (!form?.ok) return undefined;
  const field = (name: string): string => form.value.get(name) ?? "";
  const name = field("name").trim().slice(0, 254);
  const publicComputer = field("computer") !== "private";
  return {
    token: field("token"),
    returnPath: safeReturnPath(field("return"), request),
    name,
    publicComputer,
    login: stepOf(field, { name, publicComputer, from }),
  };
}

interface Common {
  readonly name: string;
  readonly publicComputer: boolean;
  readonly from: WebLoginFrom;
}

function stepOf(
  field: (name: string) => string,
  { name, publicComputer, from }: Common,
): WebLogin | undefined {
  const step = field("step") || "password";
  const pending = handleShape.test(field("pending")) ? field("pending") : undefined;
  switch (step) {
    case "password":
      if (field("password").length > passwordMaxLength) return undefined;
      return { step, name, password: field("password"), publicComputer, ...from };
    case "oidc-start":
      return { step, publicComputer, ...from };
    case "passkey-challenge":
      return { step, publicComputer, ...(pending !== undefined && { pending }), ...from };
    case "code":
      if (pending === undefined) return undefined;
      return { step, pending, code: field("code").replaceAll(" ", "").slice(0, 64), ...from };
    case "passkey":
      if (pending === undefined) return undefined;
      return { step, pending, credential: field("credential"), ...from };
    default:
      return undefined;
  }
}

function readBody(request: CheckedRequest, incoming: Incoming): Promise<string | undefined> {
  if (request.body !== "chunked" && request.body > formMaxBytes) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    incoming.receive({
      data(chunk) {
        bytes += chunk.length;
        if (bytes > formMaxBytes) return resolve(undefined);
        chunks.push(chunk);
      },
      end: () => resolve(Buffer.concat(chunks).toString("utf8")),
      broken: () => resolve(undefined),
    });
    incoming.proceed();
  });
}

/** A random word for a form and the cookie beside it (double submit). */
export function newFormToken(): string {
  return randomBytes(24).toString("base64url");
}

export function sameToken(expected: string | undefined, given: string): boolean {
  if (expected === undefined) return false;
  const [one, other] = [Buffer.from(expected), Buffer.from(given)];
  return one.length === other.length && timingSafeEqual(one, other);
}
