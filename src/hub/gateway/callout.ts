/** Recipients by asking the server that has the mailboxes, as if mail for them were to be sent. */

import { Unavailable } from "#base/errors";
import { splitPath } from "#formats/address";
import type { ConnectorHost } from "#model/connector";
import type { Reply } from "#model/reply";
import type { Failure } from "#transport/smtp-client";
import type { RecipientSource } from "./source.ts";

/** A session with the server inside, between two messages. */
export interface Asking {
  readonly usable: boolean;
  /** Undefined when the server takes mail for it. */
  verify(path: string): Promise<Failure | undefined>;
  quit(): Promise<void>;
}

export interface CalloutPorts {
  /** Those of the connector to a domain, in order of preference. */
  readonly hostsOf: (domain: string) => readonly ConnectorHost[];
  /** @throws Unavailable with the words of what went wrong */
  readonly open: (domain: string, host: ConnectorHost) => Promise<Asking>;
}

/** The first host that answers decides; one that cannot say is followed by the next. */
export function calloutSource({ hostsOf, open }: CalloutPorts): RecipientSource {
  const ask = async (host: ConnectorHost, address: string): Promise<boolean> => {
    const session = await open(splitPath(address).domain, host);
    try {
      const failure = await session.verify(address);
      if (failure === undefined) return true;
      if (isNobody(failure)) return false;
      throw new Unavailable(`${host.host}:${host.port} said ${wordsOf(failure.reply)}`);
    } finally {
      await session.quit();
    }
  };
  return {
    async has(address) {
      let last = new Unavailable("the connector names no host");
      for (const host of hostsOf(splitPath(address).domain)) {
        try {
          return await ask(host, address);
        } catch (error) {
          if (!(error instanceof Unavailable)) throw error;
          last = error;
        }
      }
      throw last;
    },
    async [Symbol.asyncDispose]() {},
  };
}

/**
 * Only an answer about the recipient counts: a server that does not relay for the domain, or that
 * does not like us, would otherwise make nobody of everybody. Exchange Online says 5.4.1.
 */
function isNobody({ phase, answered, reply: { code, status } }: Failure): boolean {
  if (phase !== "recipient" || !answered || ![550, 551, 553].includes(code)) return false;
  return status === undefined || /^5\.(?:0\.0|1\.\d{1,3}|2\.1|4\.1)$/.test(status);
}

function wordsOf({ code, status = "", text }: Reply): string {
  const words = typeof text === "string" ? text : text.join(" ");
  return `${code} ${status} ${words}`.slice(0, 300);
}
