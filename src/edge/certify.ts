/**
 * The certificate that a door of the edge serves: its key is made here and never leaves, the inside
 * brings the chain, and connections that are open stay as they are.
 */

import { Buffer } from "node:buffer";
import { constants, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import type { Socket } from "node:net";
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import type { Clock } from "#base/clock";
import type { Log } from "#base/log";
import type { Random } from "#base/random";
import type { CertifyAnswer, CertifyRequest } from "#contracts/certify";
import type { LinkStream } from "#contracts/link";
import { formatPem, formatRequest } from "#formats/x509";
import { type Challenges, challenges } from "./certify/challenge.ts";
import { type Credential, chainFaultText, checkChain, fitsKey } from "./certify/credential.ts";
import { type CertificateFiles, openFiles } from "./certify/files.ts";

export type { Credential } from "./certify/credential.ts";
export { hasName, isSignedBy, isWeak, readCertificate } from "./certify/credential.ts";

export interface CertifyOptions {
  /** PEM; replaced by an installation. Beside the key stand KEY.waiting and what is being written. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly random: Random;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Certify {
  /** Serves a stream of kind certify. */
  handle(stream: LinkStream): void;
  /** @param request untrusted JSON */
  answer(request: unknown): Promise<CertifyAnswer>;
  /** What `createSecureContext` of node:tls takes, as it is now. */
  secureContext(): Credential;
  /** Called after each installation; new handshakes are to use what `secureContext()` says then. */
  onChange(listener: () => void): void;
  /** Certificate of a challenge that waits to be asked for by ALPN "acme-tls/1". */
  challengeFor(name: string): Credential | undefined;
  /**
   * Takes a new TCP connection, of which nothing was read: proves a name to an ACME server while a
   * challenge is pending, and hands everything else on, at once and untouched when none is.
   */
  divert(socket: Socket, pass: (socket: Socket) => void): void;
}

/** Names in one request; authorities take about as many. */
const maxNames = 100;
const hostName =
  /^(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** @throws Misconfigured when the files cannot be read, or do not belong together */
export function createCertify(options: CertifyOptions): Certify {
  const files = openFiles(options.certFile, options.keyFile);
  return new OwnCertificate(options, files, challenges(options.clock, options.random));
}

/**
 * TLS of every door that others connect to: 1.3, and 1.2 with forward secrecy and AEAD alone, without
 * renegotiation (RFC 9325 §3.5, §4.2). The first group withstands quantum computers, too.
 */
export const doorTls: SecureContextOptions = {
  minVersion: "TLSv1.2",
  ciphers: [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
  ].join(":"),
  honorCipherOrder: true,
  ecdhCurve: "X25519MLKEM768:P-256:X25519:P-384",
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
};

/** The keys of session tickets live as long as a context does (RFC 9325 §3.4). */
export const contextLastsMs = 86_400_000;

/**
 * For servers that ask at each handshake; made anew each day, and when the certificate changes.
 *
 * @param more what differs from `doorTls`
 */
export function currentContext(
  certify: Pick<Certify, "secureContext" | "onChange">,
  clock: Clock,
  more: SecureContextOptions = {},
): () => SecureContext {
  const make = () => ({
    context: createSecureContext({ ...certify.secureContext(), ...doorTls, ...more }),
    untilMs: clock.tickMs() + contextLastsMs,
  });
  let made = make();
  certify.onChange(() => {
    made = make();
  });
  return () => {
    if (clock.tickMs() >= made.untilMs) made = make();
    return made.context;
  };
}

/** What may differ by client. */
export interface TlsFloor {
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  /** As OpenSSL names them, in order of preference. */
  readonly groups?: readonly string[];
}

/** One context for each floor that is in use, for doors that may ask for a client's certificate. */
export function contextsByFloor(
  certify: Pick<Certify, "secureContext" | "onChange">,
  clock: Clock,
): (floor: TlsFloor | undefined) => SecureContext {
  const made = new Map<string, () => SecureContext>();
  return (floor) => {
    const more: SecureContextOptions = {
      sessionIdContext: "postern", // OpenSSL wants one where certificates are asked for
      ...(floor && { minVersion: floor.minVersion }),
      ...(floor?.groups && { ecdhCurve: floor.groups.join(":") }),
    };
    const key = `${more.minVersion ?? ""} ${more.ecdhCurve ?? ""}`;
    const current = made.get(key) ?? currentContext(certify, clock, more);
    made.set(key, current);
    return current();
  };
}

class OwnCertificate implements Certify {
  readonly #options: CertifyOptions;
  readonly #files: CertificateFiles;
  readonly #challenges: Challenges;
  readonly #listeners: (() => void)[] = [];
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: CertifyOptions, files: CertificateFiles, pending: Challenges) {
    this.#options = options;
    this.#files = files;
    this.#challenges = pending;
  }

  handle(stream: LinkStream): void {
    this.answer(stream.header).then(
      (answer) => stream.answer(answer),
      () => stream.abort("certify failed"),
    );
  }

  answer(request: unknown): Promise<CertifyAnswer> {
    const read = readRequest(request);
    if (read === undefined) return Promise.resolve(no("not understood"));
    // One at a time: a key must not be replaced while a chain is being fitted to it.
    const turn = this.#turn.then(() => this.#act(read));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  secureContext(): Credential {
    return this.#files.current;
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  challengeFor(name: string): Credential | undefined {
    return this.#challenges.challengeFor(name);
  }

  divert(socket: Socket, pass: (socket: Socket) => void): void {
    this.#challenges.divert(socket, pass);
  }

  async #act(request: CertifyRequest): Promise<CertifyAnswer> {
    try {
      switch (request.do) {
        case "show":
          return this.#shown();
        case "request":
          return await this.#request(request.names);
        case "install":
          return await this.#install(request.chainPem, request.keyPem);
        case "challenge": {
          const digest = Buffer.from(request.keyAuthorizationSha256, "hex");
          const isOffered = this.#challenges.offer(request.name, digest);
          return isOffered ? { ok: true } : no("too many challenges are pending");
        }
        case "withdraw":
          this.#challenges.withdraw(request.name);
          return { ok: true };
      }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#options.log.write("error", "certify.failed", { asked: request.do, why });
      return no(why);
    }
  }

  #shown(): CertifyAnswer {
    return { ok: true, served: { chainPem: this.#files.current.cert } };
  }

  async #request(names: readonly string[]): Promise<CertifyAnswer> {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const keyPem = privateKey.export({ type: "pkcs8", format: "pem" });
    await this.#files.keepWaiting({ names, keyPem });
    const publicKey = createPublicKey(privateKey).export({ type: "spki", format: "der" });
    const facts = { dnsNames: names, publicKey };
    const der = formatRequest(facts, (octets) => sign("sha256", octets, privateKey));
    this.#options.log.write("info", "certify.requested", { names: names.join(" ") });
    return { ok: true, requestPem: formatPem("CERTIFICATE REQUEST", der) };
  }

  async #install(chainPem: string, keyPem: string | undefined): Promise<CertifyAnswer> {
    const chain = checkChain(chainPem, this.#options.clock.nowMs());
    if (!chain.ok) return no(chainFaultText(chain.fault));
    const { waiting, current } = this.#files;
    const fitting =
      keyPem !== undefined
        ? fitsKey(chain.value, keyPem, [])
        : waiting !== undefined
          ? fitsKey(chain.value, waiting.keyPem, waiting.names)
          : undefined;
    // A chain for the key in use: the same certificate with a better chain, or renewed by its request.
    const again = keyPem === undefined ? fitsKey(chain.value, current.key, []) : undefined;
    const taken = again?.ok ? again : fitting;
    if (taken === undefined) return no("no key waits for it: first postern pki request");
    if (!taken.ok) return no(chainFaultText(taken.fault));
    await this.#files.install(taken.value);
    const [leaf] = chain.value;
    const until = leaf?.validToDate.toISOString();
    this.#options.log.write("info", "certify.installed", { names: leaf?.subjectAltName, until });
    for (const listener of this.#listeners) listener();
    return this.#shown();
  }
}

function no(why: string): CertifyAnswer {
  return { ok: false, why };
}

/** The inside is trusted with certificates, and its words are looked at all the same. */
function readRequest(value: unknown): CertifyRequest | undefined {
  const request = (value ?? {}) as Readonly<Record<string, unknown>>;
  const { names, chainPem, keyPem, name, keyAuthorizationSha256 } = request;
  switch (request["do"]) {
    case "show":
      return { do: "show" };
    case "request":
      if (!Array.isArray(names) || names.length === 0 || names.length > maxNames) return undefined;
      return names.every(isHostName) ? { do: "request", names } : undefined;
    case "install":
      if (typeof chainPem !== "string") return undefined;
      if (keyPem === undefined) return { do: "install", chainPem };
      return typeof keyPem === "string" ? { do: "install", chainPem, keyPem } : undefined;
    case "challenge":
      if (!isHostName(name) || typeof keyAuthorizationSha256 !== "string") return undefined;
      if (!/^[0-9a-f]{64}$/.test(keyAuthorizationSha256)) return undefined;
      return { do: "challenge", name, keyAuthorizationSha256 };
    case "withdraw":
      return isHostName(name) ? { do: "withdraw", name } : undefined;
    default:
      return undefined;
  }
}

function isHostName(value: unknown): value is string {
  return typeof value === "string" && value.length <= 253 && hostName.test(value);
}
