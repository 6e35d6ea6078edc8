/** A server on loopback with a handler that keeps everything, for the tests of this room. */

import { systemClock } from "#base/clock";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { type Endpoint, systemNet } from "#base/net";
import { defaultsOf } from "#base/parameters";
import { systemRandom } from "#base/random";
import { smtpParameters } from "./parameters.ts";
import { createSmtpServer, type SmtpServer } from "./server.ts";
import type {
  ContentFacts,
  SmtpHandler,
  SmtpLimits,
  SmtpServerOptions,
  Transaction,
} from "./types.ts";

export interface Delivered {
  readonly transaction: Transaction;
  readonly content: Buffer;
  readonly facts: ContentFacts;
}

export interface TestServer extends AsyncDisposable {
  readonly at: Endpoint;
  readonly server: SmtpServer;
  readonly delivered: Delivered[];
  readonly aborted: string[];
}

export interface TestWishes extends Partial<Omit<SmtpServerOptions, "limits">> {
  readonly limits?: Partial<SmtpLimits>;
  readonly handler?: Partial<SmtpHandler>;
}

/** Accepts for known.example, refuses other domains as strangers' relays do. */
export async function testServer(wishes: TestWishes = {}): Promise<TestServer> {
  const { limits, handler, ...options } = wishes;
  const delivered: Delivered[] = [];
  const aborted: string[] = [];
  const server = createSmtpServer(
    {
      listener: "smtp",
      hostname: "mx.known.example",
      postmasterDomain: "known.example",
      implicitTls: false,
      proxyTrusted: [],
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      registry: new Registry(),
      net: systemNet,
      limits: { ...defaultsOf(smtpParameters), greetingDelayMs: 0, ...limits },
      ...options,
    },
    {
      recipient: (_, path) =>
        path.endsWith("@known.example")
          ? undefined
          : { code: 550, status: "5.7.1", text: "relaying denied" },
      begin(transaction) {
        const pieces: Buffer[] = [];
        return {
          write: (piece) => void pieces.push(piece),
          end(facts) {
            delivered.push({ transaction, content: Buffer.concat(pieces), facts });
            return { code: 250, status: "2.0.0", text: "kept" };
          },
          abort: (why) => void aborted.push(why),
        };
      },
      ...handler,
    },
  );
  const listener = await server.listen({ host: "127.0.0.1", port: 0 });
  return {
    at: listener.endpoint,
    server,
    delivered,
    aborted,
    [Symbol.asyncDispose]: () => server.drain(0),
  };
}
