/** HTTPS to hosts of strangers, through whoever dials for us: one request, bounded in time. */

import type { Duplex } from "node:stream";
import { checkServerIdentity, connect, type PeerCertificate, type TLSSocket } from "node:tls";
import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import { Unavailable } from "#base/errors";
import type { Endpoint } from "#base/net";

export interface HttpsPorts {
  readonly resolver: Pick<Resolver, "query">;
  /** @throws Unavailable */
  readonly dial: (to: Endpoint, timeoutMs: number) => Promise<Duplex>;
  readonly clock: Clock;
  /** Trust anchors, PEM; absent: those of Node. */
  readonly authorities?: readonly string[];
}

/** The certificate of the host does not stand. */
export class CertificateFault extends Unavailable {}

const totalMs = 60_000;
const dialMs = 15_000;
const maxAddresses = 3;

/**
 * Runs with a connection to port 443 of the host, whose certificate stands for its name.
 *
 * @throws CertificateFault, Unavailable, and what `run` throws; within a minute
 */
export async function withHttps<Value>(
  host: string,
  ports: HttpsPorts,
  run: (stream: TLSSocket) => Promise<Value>,
): Promise<Value> {
  const open = new Set<Duplex>();
  const endMs = ports.clock.tickMs() + totalMs;
  const late = Promise.withResolvers<never>();
  const timer = ports.clock.after(totalMs, () => {
    late.reject(new Unavailable(`${host} gave no answer within a minute`));
  });
  const work = async (): Promise<Value> => {
    const plain = await dialHost(host, ports, endMs);
    open.add(plain);
    const stream = await secure(plain, host, ports.authorities);
    open.add(stream);
    return run(stream);
  };
  try {
    return await Promise.race([work(), late.promise]);
  } finally {
    timer.cancel();
    for (const stream of open) stream.destroy();
  }
}

async function dialHost(host: string, ports: HttpsPorts, endMs: number): Promise<Duplex> {
  const { resolver, clock, dial } = ports;
  const answers = await Promise.all([resolver.query(host, "A"), resolver.query(host, "AAAA")]);
  const addresses = answers.flatMap((one) => (one.kind === "found" ? one.records : []));
  let last = new Unavailable(`${host} has no address`);
  for (const { address } of addresses.slice(0, maxAddresses)) {
    const leftMs = endMs - clock.tickMs();
    if (leftMs <= 0) break;
    try {
      return await dial({ host: address, port: 443 }, Math.min(leftMs, dialMs));
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      last = error;
    }
  }
  throw last;
}

function secure(
  plain: Duplex,
  host: string,
  authorities: readonly string[] | undefined,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      const Fault = isCertificateFault(error) ? CertificateFault : Unavailable;
      reject(new Fault(`TLS with ${host}: ${error.message}`, { cause: error }));
    };
    const stream = connect(
      {
        socket: plain,
        servername: host,
        host,
        minVersion: "TLSv1.2",
        ALPNProtocols: ["http/1.1"],
        checkServerIdentity: hasDnsName,
        ...(authorities !== undefined && { ca: [...authorities] }),
      },
      () => queueMicrotask(() => resolve(stream)),
    );
    stream.on("error", fail);
    plain.on("error", fail);
    stream.once("close", () => fail(new Error("the server closed the connection")));
  });
}

/** RFC 8461 §3.3: only names in the subject alternative name count, never the common name. */
function hasDnsName(host: string, certificate: PeerCertificate): Error | undefined {
  if (/(?:^|, )DNS:/.test(certificate.subjectaltname ?? "")) {
    return checkServerIdentity(host, certificate);
  }
  return Object.assign(new Error("its certificate names no host"), { code: identityFault });
}

const identityFault = "ERR_TLS_CERT_ALTNAME_INVALID";

/** OpenSSL's verdicts on chains are words of their own; other errors begin with ERR_SSL or E. */
function isCertificateFault({ code = "" }: Error & { code?: string }): boolean {
  return (
    code === identityFault ||
    /^(?:CERT_|SELF_SIGNED|UNABLE_TO|DEPTH_ZERO|INVALID_|PATH_|EXCLUDED)/.test(code)
  );
}
