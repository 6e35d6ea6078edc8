/** Logins by password: SASL PLAIN (RFC 4616) and the older LOGIN, step by step. */

import { Buffer, isUtf8 } from "node:buffer";
import { readPlain } from "#formats/sasl";
import type { SaslDialogue, SmtpAuth } from "./types.ts";

export const passwordMechanisms: readonly string[] = ["PLAIN", "LOGIN"];

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** @returns null when the text is not base64 (RFC 4954 §4) */
export function decodeResponse(text: string): Buffer | null {
  return base64.test(text) ? Buffer.from(text, "base64") : null;
}

/** @param from address of the client */
export function passwordDialogue(mechanism: string, auth: SmtpAuth, from: string): SaslDialogue {
  const verify = (name: string, password: string): ReturnType<SmtpAuth["verify"]> =>
    auth.verify(name, password, from);
  return mechanism === "PLAIN" ? plain(verify) : login(verify);
}

type Verify = (name: string, password: string) => ReturnType<SmtpAuth["verify"]>;

function plain(verify: Verify): SaslDialogue {
  return {
    next(response) {
      const read = isUtf8(response) ? readPlain(response.toString("utf8")) : undefined;
      if (!read?.ok) return "bad-response";
      return verify(read.value.user, read.value.secret);
    },
  };
}

function login(verify: Verify): SaslDialogue {
  let name: string | undefined;
  return {
    prompt: Buffer.from("Username:"),
    next(response) {
      if (!isUtf8(response)) return "bad-response";
      const text = response.toString("utf8");
      if (name !== undefined) return verify(name, text);
      name = text;
      return { challenge: Buffer.from("Password:") };
    },
  };
}
