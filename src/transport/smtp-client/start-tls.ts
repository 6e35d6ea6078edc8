/** The TLS handshake on the client's side, and what the server's certificate is held against (RFC 3207). */

import { constants } from "node:crypto";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import type { Clock } from "#base/clock";
import type { TlsFacts } from "#model/connection";
import type { TlsDemand } from "#model/tls-policy";
import { type ProofOutcome, prove } from "./proof.ts";
import { handshakeFault, type TlsFault } from "./tls-faults.ts";

export type TlsOutcome =
  | {
      readonly ok: true;
      readonly stream: TLSSocket;
      readonly facts: TlsFacts;
      readonly exporter?: Buffer;
    }
  | { readonly ok: false; readonly fault: TlsFault; readonly why: string };

export async function startTls(
  plain: Duplex,
  demand: TlsDemand,
  clock: Clock,
  timeoutMs: number,
): Promise<TlsOutcome> {
  const handshake = await shakeHands(plain, demand, clock, timeoutMs);
  if (!handshake.ok) return handshake;
  const { stream } = handshake;
  const outcome = prove(stream, demand, clock.nowMs());
  if (outcome.ok || !mustBeProved(demand)) {
    const exporter = bindingOf(stream);
    return { ok: true, stream, facts: factsOf(stream, outcome), ...(exporter && { exporter }) };
  }
  stream.destroy();
  return outcome;
}

/** Without a proof, TLS itself is all that is asked for. */
function mustBeProved({ level, proof }: TlsDemand): boolean {
  return level === "required" && proof !== undefined;
}

type Handshake = { readonly ok: true; readonly stream: TLSSocket } | (TlsOutcome & { ok: false });

function shakeHands(
  plain: Duplex,
  demand: TlsDemand,
  clock: Clock,
  timeoutMs: number,
): Promise<Handshake> {
  return new Promise((resolve) => {
    const fail = (fault: TlsFault, why: string): void => done({ ok: false, fault, why });
    const timer = clock.after(timeoutMs, () => {
      fail("validation-failure", "no answer to the TLS handshake");
    });
    const closed = (): void => {
      fail("validation-failure", "the server closed the connection during the TLS handshake");
    };
    let secure: TLSSocket | undefined;
    const done = (outcome: Handshake): void => {
      timer.cancel();
      secure?.off("close", closed);
      if (!outcome.ok) secure?.destroy();
      if (!outcome.ok) plain.destroy();
      resolve(outcome);
    };
    try {
      // Over a stream in memory the whole handshake happens inside connect(): hence the callback,
      // which is in place by then, and the turn until `stream` is.
      const stream = connect(optionsOf(plain, demand), () => {
        queueMicrotask(() => done({ ok: true, stream }));
      });
      secure = stream;
    } catch (error) {
      // Groups, keys and certificates that OpenSSL cannot read.
      return fail("validation-failure", `our own TLS settings: ${(error as Error).message}`);
    }
    secure.on("error", (error) => fail(...handshakeFault(error, demand.minVersion)));
    secure.once("close", closed);
  });
}

function optionsOf(plain: Duplex, demand: TlsDemand): ConnectionOptions {
  const { serverName, proof, minVersion, groups, client } = demand;
  const authorities = proof && "authorities" in proof ? proof.authorities : undefined;
  return {
    socket: plain,
    // RFC 6066 §3: addresses are no server names.
    ...(isIP(serverName) === 0 && serverName !== "" && { servername: serverName }),
    // OpenSSL looks at the chain; what follows from it, and the names, is judged in proof.ts.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    minVersion,
    // A certificate that was judged stays the one that is spoken to (RFC 5746 allows another).
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    ...(groups && { ecdhCurve: groups.join(":") }),
    ...(authorities && { ca: [...authorities], allowPartialTrustChain: true }),
    ...(client && { cert: client.certificate, key: client.key }),
  };
}

/** What only the two ends of this connection know (RFC 9266 §2); below TLS 1.3 others might (§4.2). */
function bindingOf(secure: TLSSocket): Buffer | undefined {
  if (secure.getProtocol() !== "TLSv1.3") return undefined;
  return secure.exportKeyingMaterial(32, "EXPORTER-Channel-Binding", Buffer.alloc(0));
}

function factsOf(secure: TLSSocket, outcome: ProofOutcome): TlsFacts {
  const group = (secure.getEphemeralKeyInfo() as { name?: string } | null)?.name;
  return {
    version: secure.getProtocol() ?? "unknown",
    cipher: secure.getCipher().standardName,
    ...(group !== undefined && { group }),
    ...(outcome.ok && {
      peerCertificate: outcome.certificate,
      proof: outcome.kind,
      ...(outcome.name !== undefined && { provenName: outcome.name }),
    }),
  };
}
