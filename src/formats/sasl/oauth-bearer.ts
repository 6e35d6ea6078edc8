/** SASL OAUTHBEARER, the client's side (RFC 7628). The token crosses: for proven TLS only. */

import { escapeName } from "./scram.ts";

/** RFC 6750 §2.1 b64token. */
const bearerToken = /^[A-Za-z0-9\-._~+/]+=*$/;
/** Our limit: a token of an identity provider is far below. */
const maxToken = 8192;

/** §3.2.3: what a server wants to hear after it has said why it refuses. */
export const oauthDummyResponse = "\x01";

/** @returns undefined when the user or the token cannot be sent */
export function formatOAuthBearer(user: string, token: string): string | undefined {
  if (token.length > maxToken || !bearerToken.test(token)) return undefined;
  if (user === "" || hasControls(user)) return undefined;
  return `n,a=${escapeName(user)},\x01auth=Bearer ${token}\x01\x01`;
}

function hasControls(text: string): boolean {
  for (const char of text) if (char < " " || char === "\x7f") return true;
  return false;
}

/**
 * The status in a server's refusal (§3.2.2): "invalid_token".
 *
 * @param message untrusted, decoded from base64
 */
export function readOAuthError(message: string): string | undefined {
  if (message.length > 4096) return undefined;
  try {
    const { status } = JSON.parse(message) as { status?: unknown };
    return typeof status === "string" && /^[\w.-]{1,64}$/.test(status) ? status : undefined;
  } catch {
    return undefined;
  }
}
