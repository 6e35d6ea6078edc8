/** What the web front counts and logs: one function per event, never a name typed or a path. */

import type { Log } from "#base/log";
import type { Registry } from "#base/measures";

export interface WebEvents {
  answered(route: string, status: number, seconds: number): void;
  /** Refused before any route was asked. */
  refused(why: string, clientAddress: string): void;
  login(outcome: string, clientAddress: string): void;
  connectionRefused(why: string): void;
  linkDown(): void;
  /** Every stream that the link has for web requests is taken. */
  linkFull(): void;
  /** @param outcome "taken", or why it was not */
  policy(outcome: string, version: number): void;
}

export function webEvents(log: Log, registry: Registry): WebEvents {
  const requests = registry.counter("web_requests", "Requests answered, by route and status class");
  const duration = registry.histogram("web_request_duration_seconds", "Until the answer ended");
  const refusals = registry.counter("web_refusals", "Requests refused by the front's own rules");
  const logins = registry.counter("web_logins", "Login forms, by outcome");
  const connections = registry.counter("web_connections_refused", "Connections closed at once");
  const down = registry.counter("web_link_down", "Requests that met no link to the inside");
  const full = registry.counter("web_link_full", "Requests that met no free stream of the link");
  const policies = registry.counter("web_policies", "Policies that the inside told, by outcome");
  return {
    answered(route, status, seconds) {
      requests.add({ route, status: `${Math.floor(status / 100)}xx` });
      duration.observe(seconds, { route });
    },
    refused(why, clientAddress) {
      refusals.add({ why });
      log.write("info", "web.refused", { why, clientAddress });
    },
    login(outcome, clientAddress) {
      logins.add({ outcome });
      log.write("info", "web.login", { outcome, clientAddress });
    },
    connectionRefused(why) {
      connections.add({ why });
    },
    linkDown() {
      down.add();
      log.write("warn", "web.link-down");
    },
    linkFull() {
      full.add();
      log.write("warn", "web.link-full");
    },
    policy(outcome, version) {
      policies.add({ outcome });
      log.write(outcome === "taken" ? "info" : "warn", "web.policy", { outcome, version });
    },
  };
}
