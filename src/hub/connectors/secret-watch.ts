/** Looks at the secrets of connectors: their age as a measure, and once a day a word about old ones. */

import type { Clock, Timer } from "#base/clock";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { InboundConnector, OutboundConnector } from "#model/connector";
import { loginFacts, type SecretsOf } from "./facts.ts";

export interface WatchPorts {
  readonly settings: {
    readonly outbound: readonly OutboundConnector[];
    readonly inbound: readonly InboundConnector[];
  };
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

interface Watched {
  readonly direction: "outbound" | "inbound";
  readonly connector: string;
  readonly login: SecretsOf;
}

export function watchSecrets(ports: WatchPorts): Disposable {
  const { clock, log, registry } = ports;
  const age = registry.gauge(
    "connector_secret_age_seconds",
    "Age of a connector's secret, by direction and place of its file; 0 where there is none",
  );
  const watched = withLogins(ports.settings);
  let toldAtMs = Number.NEGATIVE_INFINITY;
  let timer: Timer;
  const look = (): void => {
    const nowMs = clock.nowMs();
    const isTime = Math.abs(nowMs - toldAtMs) >= dayMs; // a clock that was set back counts too
    if (isTime) toldAtMs = nowMs;
    for (const { direction, connector, login } of watched) {
      const { secrets, fault } = loginFacts(login, nowMs);
      const place = { direction, connector };
      for (const [index, file] of login.secretFiles.entries()) {
        const held = secrets.find((secret) => secret.file === file);
        age.set((held?.ageDays ?? 0) * (dayMs / 1_000), { ...place, secret: `${index + 1}` });
      }
      if (!isTime) continue;
      if (fault !== undefined) log.write("error", "connector.secret-missing", { ...place, fault });
      for (const { file, ageDays, isExpired, openToAll } of secrets) {
        if (isExpired) log.write("warn", "connector.secret-expired", { ...place, file, ageDays });
        if (openToAll) log.write("warn", "connector.secret-open", { ...place, file });
      }
    }
    timer = clock.after(hourMs, look);
  };
  timer = clock.after(0, look);
  return { [Symbol.dispose]: () => timer.cancel() };
}

function withLogins({ outbound, inbound }: WatchPorts["settings"]): readonly Watched[] {
  return [
    ...outbound.flatMap(({ name, login }) =>
      login ? [{ direction: "outbound" as const, connector: name, login }] : [],
    ),
    ...inbound.flatMap(({ name, user, secretFiles = [], secretMaxAgeDays = 0 }) =>
      user === undefined
        ? []
        : [
            {
              direction: "inbound" as const,
              connector: name,
              login: { user, secretFiles, secretMaxAgeDays },
            },
          ],
    ),
  ];
}
