/** The TLS handshake of STARTTLS (RFC 3207), opportunistic or verified (RFC 7435, RFC 6125). */

import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect, type TLSSocket } from "node:tls";
import type { Clock } from "#base/clock";
import type { TlsFacts } from "#model/connection";

export interface TlsWish {
  /**
   * opportunistic: when offered, unverified, else in the clear; required: verified for `servername`,
   * else not at all; none: only after an opportunistic handshake failed.
   */
  readonly mode: "none" | "opportunistic" | "required";
  readonly servername: string;
  /** Trust anchors, PEM; absent: those of Node. */
  readonly ca?: string | readonly string[];
}

export type TlsOutcome =
  | { readonly ok: true; readonly stream: TLSSocket; readonly facts: TlsFacts }
  | { readonly ok: false; readonly why: string };

export function startTls(
  plain: Duplex,
  wish: TlsWish,
  clock: Clock,
  timeoutMs: number,
): Promise<TlsOutcome> {
  return new Promise((resolve) => {
    const options = {
      socket: plain,
      // RFC 6066 §3: addresses are no server names; the certificate is still held against them.
      ...(isIP(wish.servername) === 0 ? { servername: wish.servername } : {}),
      host: wish.servername,
      rejectUnauthorized: wish.mode === "required",
      minVersion: "TLSv1.2",
      ...(wish.ca !== undefined && { ca: typeof wish.ca === "string" ? wish.ca : [...wish.ca] }),
    } as const;
    const done = (outcome: TlsOutcome): void => {
      timer.cancel();
      secure.off("close", closed);
      if (!outcome.ok) secure.destroy();
      if (!outcome.ok) plain.destroy();
      resolve(outcome);
    };
    const timer = clock.after(timeoutMs, () => {
      done({ ok: false, why: "no answer to the TLS handshake" });
    });
    const closed = (): void => done({ ok: false, why: "the server closed the connection" });
    // Over a stream in memory the whole handshake happens inside connect(): hence the callback,
    // which is in place by then, and the turn until `secure` is.
    const secure = connect(options, () => {
      queueMicrotask(() => done({ ok: true, stream: secure, facts: factsOf(secure) }));
    });
    secure.on("error", (error) => done({ ok: false, why: error.message }));
    secure.once("close", closed);
  });
}

function factsOf(secure: TLSSocket): TlsFacts {
  const group = (secure.getEphemeralKeyInfo() as { name?: string } | null)?.name;
  const certificate = secure.authorized ? secure.getPeerX509Certificate() : undefined;
  return {
    version: secure.getProtocol() ?? "unknown",
    cipher: secure.getCipher().standardName,
    ...(group !== undefined && { group }),
    ...(certificate !== undefined && {
      peerCertificate: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
    }),
  };
}
