/** systemd units from the manifests: one service a program, its public ports as sockets. */

import { Misconfigured } from "#base/errors";
import type { Endpoint } from "#base/net";
import { type ProgramName, programsOf } from "../roles.ts";
import { serviceUsers } from "../users.ts";
import { serviceUnit } from "./service.ts";
import { doorsOf, socketName, type UnitPlan } from "./unit-plan.ts";

/** Name of each file to its text. @throws Misconfigured when a service could not see its files */
export function unitFiles(plan: UnitPlan): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  const names = programsOf[plan.role];
  for (const path of [plan.data, plan.application, plan.node]) {
    if (/^\/(?:home|root|run\/user)\//.test(path)) {
      throw new Misconfigured(`${path}: the services see nothing below /home and /root`);
    }
  }
  for (const name of names) {
    const doors = doorsOf(name, plan.config);
    for (const at of doors.public) files.set(socketName(name, at), socketUnit(name, at));
    files.set(`postern-${name}.service`, serviceUnit(name, plan, doors));
  }
  files.set("postern.target", targetUnit(names, plan));
  files.set("postern.sysusers", sysusers(names));
  return files;
}

/** The name of the socket is its port, by which the program asks for it (#base/net). */
function socketUnit(name: ProgramName, { host, port }: Endpoint): string {
  const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  return `[Unit]
Description=Postern ${name}, port ${port}
PartOf=postern.target

[Socket]
ListenStream=${address}
FileDescriptorName=${port}
Service=postern-${name}.service
Backlog=1024
NoDelay=yes

[Install]
WantedBy=sockets.target
`;
}

function targetUnit(names: readonly ProgramName[], { role }: UnitPlan): string {
  const services = names.map((name) => `postern-${name}.service`).join(" ");
  const which = { all: "all on this machine", inside: "the inside", edge: "the edge" }[role];
  return `[Unit]
Description=Postern: ${which}
Wants=${services}

[Install]
WantedBy=multi-user.target
`;
}

/** sysusers.d(5). The hub is in the keyring's group: it may reach the socket, and nothing else. */
function sysusers(names: readonly ProgramName[]): string {
  const users = names.map(
    (name) => `u postern-${name} ${serviceUsers[name]} "Postern ${name}" - -`,
  );
  const joined = names.includes("hub") ? ["m postern-hub postern-keyring"] : [];
  return `${[...users, ...joined].join("\n")}\n`;
}
