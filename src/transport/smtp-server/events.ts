/** What the SMTP server tells the log and the measures. Names are stable; no content, no secrets. */

import type { Log } from "#base/log";
import type { Registry } from "#base/measures";

export interface SmtpEvents {
  connected(): void;
  /** @param reason stable word, as early-talker */
  refused(reason: string, from: string): void;
  message(code: number, sizeBytes: number): void;
  /** A refused recipient or login: answered late, or at once because too many wait already. */
  slowed(outcome: "held" | "full"): void;
  login(outcome: "ok" | "refused" | "slow-down" | "busy", from: string): void;
  /** @param asked the connector that the client's address is for, and what it demands */
  handshakeFailed(
    code: string,
    from: string,
    asked: { readonly connector: string; readonly minVersion: string } | undefined,
  ): void;
  /** A handler threw something that is not the environment's fault. */
  handlerFailed(error: unknown): void;
  open(connections: number): void;
}

export function smtpEvents(listener: string, log: Log, registry: Registry): SmtpEvents {
  const connections = registry.counter("smtp_connections", "Connections that were greeted");
  const refusals = registry.counter("smtp_refusals", "Sessions that the server ended, by reason");
  const messages = registry.counter("smtp_messages", "Messages by the code that answered them");
  const bytes = registry.counter("smtp_message_bytes", "Octets of messages that were kept");
  const logins = registry.counter("smtp_logins", "Logins by outcome");
  const slowed = registry.counter("smtp_tarpit", "Refusals that were to be slow, by outcome");
  const handshakes = registry.counter("smtp_tls_failures", "Handshakes that failed, by reason");
  const open = registry.gauge("smtp_open_connections", "Connections open now");
  const here = { listener };
  const byCode = new Map<number, { listener: string; code: string }>();
  return {
    connected: () => connections.add(here),
    refused(reason, from) {
      refusals.add({ listener, reason });
      log.write("info", "smtp-server.refused", { listener, reason, from });
    },
    message(code, sizeBytes) {
      let labels = byCode.get(code);
      if (labels === undefined) {
        labels = { listener, code: String(code) };
        byCode.set(code, labels);
      }
      messages.add(labels);
      if (code < 400) bytes.add(here, sizeBytes);
    },
    slowed: (outcome) => slowed.add({ listener, outcome }),
    login(outcome, from) {
      logins.add({ listener, outcome });
      if (outcome !== "ok")
        log.write("info", "smtp-server.login-failed", { listener, outcome, from });
    },
    handshakeFailed(code, from, asked) {
      handshakes.add({ listener, code });
      log.write("info", "smtp-server.handshake-failed", { listener, code, from, ...asked });
    },
    handlerFailed(error) {
      const text = error instanceof Error ? `${error.name}: ${error.message}` : "not an Error";
      log.write("error", "smtp-server.handler-failed", { listener, error: text });
    },
    open: (count) => open.set(count, here),
  };
}
