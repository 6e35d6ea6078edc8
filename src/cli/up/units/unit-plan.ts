/** What the units of a program depend on: its doors, and what systemd hands over to it. */

import type { Endpoint } from "#base/net";
import type { Manifest } from "#contracts/manifest";
import type { Config } from "../../config/read.ts";
import { layoutOf } from "../layout.ts";
import { masterSettingsOf } from "../master.ts";
import type { ProgramName, Role } from "../roles.ts";
import { endpointOf, insideDoors } from "../settings.ts";

export interface UnitPlan {
  readonly role: Role;
  readonly manifests: Readonly<Record<ProgramName, Manifest>>;
  readonly config: Config;
  readonly configFile: string;
  readonly data: string;
  /** As the units call them. */
  readonly application: string;
  readonly node: string;
}

/** Where a program listens for others than Postern itself, and for Postern. */
export interface Doors {
  /** systemd opens these and hands them over: the program needs no privilege for a low port. */
  readonly public: readonly Endpoint[];
  readonly own: readonly Endpoint[];
}

export function doorsOf(name: ProgramName, config: Config): Doors {
  const { listen, clients } = config;
  const at = (key: keyof Config["listen"]): Endpoint => endpointOf(listen[key], `listen.${key}`);
  switch (name) {
    case "edge-smtp":
      return { public: [at("smtp")], own: [at("linkSmtp")] };
    case "edge-web": {
      const { imaps, pop3s, submissions } = clients;
      const published = Object.entries({ imaps, pop3s, submissions })
        .filter(([, text]) => text !== "")
        .map(([key, text]) => endpointOf(text, `clients.${key}`));
      return { public: [at("https"), ...published], own: [at("linkWeb")] };
    }
    case "hub": {
      const { relay, lmtp } = insideDoors(config);
      const inside = [relay, lmtp].flatMap((one) => (one && !("path" in one) ? [one] : []));
      return { public: [at("submission"), at("imap"), ...inside], own: [at("console")] };
    }
    case "keyring":
      return { public: [], own: [] };
  }
}

export function socketName(name: ProgramName, { port }: Endpoint): string {
  return `postern-${name}-${port}.socket`;
}

/** What systemd hands over to the keyring, by name. */
export function credentialsOf(name: ProgramName, { config, data }: UnitPlan): readonly string[] {
  if (name !== "keyring") return [];
  const { source, token } = masterSettingsOf(layoutOf(data), config);
  return [
    ...(source === "credential" ? ["postern-master"] : []),
    ...(token !== undefined && token.pinFile === undefined ? ["postern-pin"] : []),
  ];
}
