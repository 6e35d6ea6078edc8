/**
 * One hardened service (systemd.exec(5)). What is not here does not hold for Node:
 * MemoryDenyWriteExecute= would kill its compiler of machine code at the first hot function.
 */

import { dirname } from "node:path";
import { type Grants, noGrants, startFlags } from "#base/fence";
import type { Manifest } from "#contracts/manifest";
import { folderOf, layoutOf } from "../layout.ts";
import { masterSettingsOf } from "../master.ts";
import type { ProgramName } from "../roles.ts";
import { credentialsOf, type Doors, socketName, type UnitPlan } from "./unit-plan.ts";

export function serviceUnit(name: ProgramName, plan: UnitPlan, doors: Doors): string {
  const manifest = plan.manifests[name];
  const sections = {
    Unit: unitLines(name, manifest, doors),
    Service: [
      ...startLines(name, plan),
      ...credentialsOf(name, plan).map((one) => `LoadCredential=${one}:/etc/postern/${one}`),
      ...sandbox,
      ...fileLines(name, plan),
      ...networkLines(manifest, doors),
      ...systemCallLines(manifest),
    ],
    Install: ["WantedBy=postern.target"],
  };
  return Object.entries(sections)
    .map(([section, lines]) => `[${section}]\n${lines.join("\n")}\n`)
    .join("\n");
}

function unitLines(name: ProgramName, manifest: Manifest, doors: Doors): readonly string[] {
  const sockets = doors.public.map((at) => socketName(name, at)).join(" ");
  return [
    `Description=Postern ${name}: ${manifest.purpose}`,
    "PartOf=postern.target",
    ...(manifest.zone === "caged"
      ? []
      : ["Wants=network-online.target", "After=network-online.target"]),
    ...(sockets === "" ? [] : [`Requires=${sockets}`, `After=${sockets}`]),
    // The hub asks the keyring for the store's master key before it opens anything.
    ...(name === "hub"
      ? ["Requires=postern-keyring.service", "After=postern-keyring.service"]
      : []),
    "StartLimitIntervalSec=0",
  ];
}

function startLines(name: ProgramName, plan: UnitPlan): readonly string[] {
  const { application, node, data, configFile, role } = plan;
  const folder = folderOf(name, layoutOf(data));
  const flags = startFlags(plan.manifests[name], { application, folder }, grantsOf(name, plan));
  const roleWord = role === "inside" ? "hub" : role;
  const prepare = ["prepare", name, "--role", roleWord, "--data", data, "--config", configFile];
  return [
    "Type=exec",
    `User=postern-${name}`,
    `Group=postern-${name}`,
    ...(name === "hub" ? ["SupplementaryGroups=postern-keyring"] : []),
    // As root and outside of the sandbox: makes the settings and hands over the folder.
    `ExecStartPre=+${words([node, `${application}/programs/postern.ts`, ...prepare])}`,
    `ExecStart=${words([node, ...flags, `${application}/programs/${name}.ts`, "--settings", `${folder}/settings.json`])}`,
    `WorkingDirectory=${application}`,
    "UnsetEnvironment=NODE_OPTIONS NODE_EXTRA_CA_CERTS",
    "Restart=always",
    "RestartSec=1",
    // The settings are wrong: starting again mends nothing.
    "RestartPreventExitStatus=78",
    "TimeoutStopSec=35",
    "UMask=0077",
    "LimitCORE=0",
    "LimitNOFILE=65536",
    "TasksMax=128",
  ];
}

/** %d is the folder of the service's credentials. */
function grantsOf(name: ProgramName, plan: UnitPlan): Grants {
  if (name !== "keyring") return noGrants;
  const { token } = masterSettingsOf(layoutOf(plan.data), plan.config);
  return {
    reads: [
      ...(credentialsOf(name, plan).length === 0 ? [] : ["%d/"]),
      ...(token?.pinFile === undefined ? [] : [token.pinFile]),
    ],
    ffi: token !== undefined,
  };
}

function words(all: readonly string[]): string {
  return all.map((one) => (/^[\w@%+=:,./-]+$/.test(one) ? one : JSON.stringify(one))).join(" ");
}

const sandbox: readonly string[] = [
  "NoNewPrivileges=yes",
  "CapabilityBoundingSet=",
  "AmbientCapabilities=",
  "ProtectSystem=strict",
  "ProtectHome=yes",
  "PrivateTmp=yes",
  "PrivateDevices=yes",
  "PrivateUsers=yes",
  "PrivateIPC=yes",
  "PrivateMounts=yes",
  "ProtectProc=invisible",
  "ProcSubset=pid",
  "ProtectKernelTunables=yes",
  "ProtectKernelModules=yes",
  "ProtectKernelLogs=yes",
  "ProtectControlGroups=yes",
  "ProtectClock=yes",
  "ProtectHostname=yes",
  "RestrictNamespaces=yes",
  "RestrictRealtime=yes",
  "RestrictSUIDSGID=yes",
  "RemoveIPC=yes",
  "LockPersonality=yes",
  "KeyringMode=private",
  "SystemCallArchitectures=native",
];

/** Its own folder, and of the others not even the names. */
function fileLines(name: ProgramName, { data, config }: UnitPlan): readonly string[] {
  const layout = layoutOf(data);
  const own = folderOf(name, layout);
  const others = [layout.edgeSmtp, layout.edgeWeb, layout.hub, layout.keyring, layout.pki];
  const reachable = name === "hub" ? [own, layout.keyring] : [own];
  const hidden = others.filter((path) => !reachable.includes(path)).map((path) => `-${path}`);
  const backups =
    name === "hub" && config.backup.target.startsWith("/") ? [`-${config.backup.target}`] : [];
  const sockets = name === "hub" ? socketFolders(config) : { own: [], runtime: [] };
  const written = [own, ...backups, ...sockets.own.map((path) => `-${path}`)];
  return [
    `ReadWritePaths=${written.join(" ")}`,
    `InaccessiblePaths=${hidden.join(" ")}`,
    ...sockets.runtime.flatMap((one) => [`RuntimeDirectory=${one}`, "RuntimeDirectoryMode=0755"]),
  ];
}

/** Of the sockets for programs of the machine: those right below /run are made at each start. */
function socketFolders({ listen }: UnitPlan["config"]): {
  readonly own: readonly string[];
  readonly runtime: readonly string[];
} {
  const paths = [listen.local, listen.lmtp].filter((path) => path.startsWith("/"));
  const folders = [...new Set(paths.map((path) => dirname(path)))];
  const runtime = folders.flatMap((path) => /^\/run\/([\w.-]+)$/.exec(path)?.[1] ?? []);
  return { own: folders.filter((path) => !/^\/run\/[\w.-]+$/.test(path)), runtime };
}

function networkLines(manifest: Manifest, doors: Doors): readonly string[] {
  if (manifest.zone === "caged") {
    return ["PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX", "IPAddressDeny=any"];
  }
  const families = manifest.zone === "inside" ? "AF_UNIX AF_INET AF_INET6" : "AF_INET AF_INET6";
  const ports = [...doors.public, ...doors.own].map(({ port }) => `tcp:${port}`);
  // A question to a name server goes out from a port that the system chooses.
  const asks = manifest.dials.includes("DNS") ? ["udp"] : [];
  return [
    `RestrictAddressFamilies=${families}`,
    "SocketBindDeny=any",
    ...[...ports, ...asks].map((one) => `SocketBindAllow=${one}`),
  ];
}

function systemCallLines({ dials }: Manifest): readonly string[] {
  return [
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources @debug @mount @swap @reboot @raw-io @module @obsolete",
    // Who dials nobody cannot: a taken program has no way out but those who came to it.
    ...(dials.length === 0 ? ["SystemCallFilter=~connect"] : []),
    "SystemCallErrorNumber=EPERM",
  ];
}
