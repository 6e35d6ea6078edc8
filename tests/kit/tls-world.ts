/** Domains with mail servers and policy hosts on loopback: their DNS, certificates and faults as told. */

import { createHash, generateKeyPairSync, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttps, type Server as HttpsServer } from "node:https";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { DnsAnswer, DnsRecord, RecordData, RecordType, Resolver } from "#base/dns";
import { Unavailable } from "#base/errors";
import type { Endpoint } from "#base/net";
import { testAuthority } from "./authority.ts";
import { selfSigned } from "./certificate.ts";
import { SmtpSink } from "./smtp-sink.ts";

export interface Pair {
  readonly key: string;
  readonly cert: string;
}

export interface CertificateWish {
  readonly names: readonly string[];
  readonly expired?: boolean;
  readonly selfSigned?: boolean;
}

export interface PolicyHost {
  body: string;
  status: number;
  type: string;
  /** Octets after which it falls silent; absent: it sends all. */
  stallAfter?: number;
  requests: number;
  close(): Promise<void>;
}

export interface Question {
  readonly name: string;
  readonly type: RecordType;
}

export class TlsWorld implements AsyncDisposable {
  readonly authority: ReturnType<typeof testAuthority> = testAuthority();
  readonly questions: Question[] = [];
  /** host:port that were dialled. */
  readonly dialled: string[] = [];
  readonly #answers = new Map<string, DnsAnswer>();
  readonly #ports = new Map<string, number>();
  readonly #servers: (() => Promise<void>)[] = [];

  readonly resolver: Pick<Resolver, "query"> = {
    query: async <Type extends RecordType>(name: string, type: Type): Promise<DnsAnswer<Type>> => {
      this.questions.push({ name, type });
      const answer = this.#answers.get(`${type} ${name}`) ?? { kind: "none", nxdomain: false };
      return answer as DnsAnswer<Type>;
    },
  };

  /** @param signed verified by DNSSEC */
  say<Type extends RecordType>(
    type: Type,
    name: string,
    records: readonly RecordData[Type][],
    signed = false,
  ): void {
    const answer: DnsAnswer =
      records.length === 0
        ? { kind: "none", nxdomain: true }
        : {
            kind: "found",
            records: records as readonly DnsRecord[],
            ttl: 300,
            authenticated: signed,
          };
    this.#answers.set(`${type} ${name}`, answer);
  }

  fail(type: RecordType, name: string, why = "server failure"): void {
    this.#answers.set(`${type} ${name}`, { kind: "failed", why });
  }

  /** Where an address leads that a test serves itself. */
  lead(at: string, port: number): void {
    this.#ports.set(at, port);
  }

  readonly dial = (to: Endpoint): Promise<Duplex> => {
    this.dialled.push(`${to.host}:${to.port}`);
    const port = this.#ports.get(`${to.host}:${to.port}`);
    if (port === undefined) return Promise.reject(new Unavailable(`nobody at ${to.host}`));
    return new Promise((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port });
      socket.once("error", (cause) => reject(new Unavailable("refused", { cause })));
      socket.once("connect", () => resolve(socket));
    });
  };

  certificate({ names, expired = false, selfSigned: own = false }: CertificateWish): Pair {
    if (own) return selfSigned(names[0] ?? "nobody");
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const late = expired ? { fromMs: Date.now() - 90 * 86_400_000, days: 30 } : {};
    const cert = this.authority.direct({ names, publicKey, ...late });
    return { key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(), cert };
  }

  /** @param options of TLS: a certificate, perhaps maxVersion; absent: no STARTTLS */
  async mailServer(address: string, options?: object): Promise<SmtpSink> {
    const sink = new SmtpSink({
      extensions: ["REQUIRETLS"],
      ...(options && { tls: options as Pair }),
    });
    this.#ports.set(`${address}:25`, await sink.listen());
    this.#servers.push(() => sink.close());
    return sink;
  }

  /** Says in the DNS that there is a policy, and serves it. */
  async policyHost(domain: string, address: string, pair?: Pair): Promise<PolicyHost> {
    const host = `mta-sts.${domain}`;
    const state: PolicyHost = {
      body: "",
      status: 200,
      type: "text/plain; charset=utf-8",
      requests: 0,
      close: async () => {},
    };
    const server = createHttps(pair ?? this.certificate({ names: [host] }), (request, response) => {
      state.requests += 1;
      if (request.url !== "/.well-known/mta-sts.txt" || request.headers.host !== host) {
        response.writeHead(404).end();
        return;
      }
      response.writeHead(state.status, {
        "content-type": state.type,
        location: "https://elsewhere.example/",
      });
      if (state.stallAfter === undefined) response.end(state.body);
      else response.write(state.body.slice(0, state.stallAfter));
    });
    await this.#listen(server, `${address}:443`, state);
    this.say("A", host, [{ address }]);
    this.say("TXT", `_mta-sts.${domain}`, [{ text: "v=STSv1; id=1" }]);
    return state;
  }

  async #listen(server: HttpsServer, at: string, state: PolicyHost): Promise<void> {
    const sockets = new Set<Socket>();
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    });
    server.on("tlsClientError", () => {});
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    this.#ports.set(at, (server.address() as AddressInfo).port);
    state.close = async () => {
      this.#ports.delete(at);
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      state.close = async () => {};
    };
    this.#servers.push(() => state.close());
  }

  /** Takes connections and says nothing. */
  async silent(at: string): Promise<void> {
    const sockets = new Set<Socket>();
    const server: Server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    this.#ports.set(at, (server.address() as AddressInfo).port);
    this.#servers.push(async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#servers) await close();
  }
}

/** A TLSA record for the certificate, the first of the chain unless another is named. */
export function tlsaOf(
  pem: string,
  usage: number,
  selector: 0 | 1,
  matching: 0 | 1 | 2,
): RecordData["TLSA"] {
  const certificate = new X509Certificate(pem);
  const octets =
    selector === 0
      ? certificate.raw
      : certificate.publicKey.export({ type: "spki", format: "der" });
  const digest = { 0: undefined, 1: "sha256", 2: "sha512" }[matching];
  const data = digest === undefined ? octets : createHash(digest).update(octets).digest();
  return { usage, selector, matching, data: data.toString("hex") };
}
