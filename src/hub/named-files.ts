/** Every file that an administrator's settings name and the hub opens, each with the reader that it uses. */

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { Misconfigured } from "#base/errors";
import type { InboundConnector, OutboundConnector } from "#model/connector";
import { recoveryPrivateKeyIn, recoveryPublicKeyIn, targetOf } from "#store/backup";
import { readConnectorFiles, readSecrets } from "#transport/connectors";
import { completeBackupSettings } from "./backups.ts";
import { acmeFiles } from "./certificates/acme.ts";
import { fileOf as ldapFile } from "./gateway/ldap.ts";
import { readList } from "./gateway/list.ts";
import type { Gateway } from "./gateway/settings.ts";
import { dialler } from "./publish/dial.ts";
import type { HubSettings } from "./settings.ts";
import { providerFiles } from "./sign-in.ts";

export interface NamedFile {
  /** As SECTION.KEY or FAMILY.NAME.KEY. */
  readonly key: string;
  readonly files: readonly string[];
  /** What the reader opens too. */
  readonly besides?: readonly string[];
  readonly isSecret: boolean;
  /** @throws Misconfigured or Unavailable saying what is wrong, with the system's error as its cause */
  read(): unknown;
}

type KnownSettings = Pick<
  HubSettings,
  "outbound" | "inbound" | "gateways" | "publish" | "login" | "certificates" | "backup" | "folder"
>;

/** Those that are in use: a file of a setting that is switched off may be missing. */
export function namedFiles(settings: KnownSettings): readonly NamedFile[] {
  return [
    ...settings.outbound.flatMap(filesOfOutbound),
    ...settings.inbound.flatMap(secretsOfInbound),
    ...settings.gateways.flatMap(filesOfGateway),
    ...settings.publish.flatMap((application) =>
      one(`publish.${application.name}.caFile`, application.caFile, () => dialler(application)),
    ),
    ...filesOfLogin(settings),
    ...filesOfAcme(settings),
    ...filesOfBackup(settings),
  ];
}

function filesOfOutbound(connector: OutboundConnector): readonly NamedFile[] {
  const { name, tls, login } = connector;
  const key = (what: string): string => `outbound.${name}.${what}`;
  // Each by itself, so that a fault of one is not told of another.
  const only = (part: Partial<OutboundConnector["tls"]>) => (): unknown => {
    const { authorities: _, client: __, ...rest } = tls;
    return readConnectorFiles({ ...connector, tls: { ...rest, ...part } });
  };
  const { authorities = [], client } = tls;
  return [
    ...authorities.flatMap((file) =>
      one(key("tlsAuthorityFile"), file, only({ authorities: [file] })),
    ),
    ...(client === undefined
      ? []
      : [
          ...one(key("tlsCertificateFile"), client.certificate, () =>
            certificateIn(client.certificate),
          ),
          ...secret(key("tlsKeyFile"), client.key, only({ client })).map((named) => ({
            ...named,
            besides: [client.certificate],
          })),
        ]),
    ...(login === undefined ? [] : [secrets(key("secretFiles"), login.secretFiles)]),
  ];
}

function secretsOfInbound({ name, secretFiles = [] }: InboundConnector): readonly NamedFile[] {
  return secretFiles.length === 0 ? [] : [secrets(`inbound.${name}.secretFiles`, secretFiles)];
}

/** One of them may be missing: the next secret is named before it exists. */
function secrets(key: string, secretFiles: readonly string[]): NamedFile {
  return { key, files: secretFiles, isSecret: true, read: () => readSecrets({ secretFiles }) };
}

function filesOfGateway(gateway: Gateway): readonly NamedFile[] {
  const { name, recipients, listFile, ldapUser, ldapSecretFile, ldapCaFile } = gateway;
  const key = (what: string): string => `gateway.${name}.${what}`;
  if (recipients === "list") return one(key("listFile"), listFile, () => readList(listFile));
  if (recipients !== "ldap") return [];
  const password = (): void => {
    const text = ldapFile(ldapSecretFile);
    if (ldapUser !== "" && text.trim() === "")
      throw new Misconfigured(`${ldapSecretFile} is empty`);
  };
  return [
    ...secret(key("ldapSecretFile"), ldapSecretFile, password),
    ...one(key("ldapCaFile"), ldapCaFile, () => certificateIn(ldapCaFile)),
  ];
}

function filesOfLogin({ login }: Pick<HubSettings, "login">): readonly NamedFile[] {
  const { oidcIssuer, oidcSecretFile, oidcCaFile } = login;
  if (oidcIssuer === "") return [];
  return [
    ...secret("login.oidcSecretFile", oidcSecretFile, () =>
      providerFiles({ ...login, oidcCaFile: "" }),
    ),
    ...one("login.oidcCaFile", oidcCaFile, () => certificateIn(oidcCaFile)),
  ];
}

function filesOfAcme({ certificates }: Pick<HubSettings, "certificates">): readonly NamedFile[] {
  const { acme } = certificates;
  if (acme.directory === "") return [];
  return [
    ...one("acme.caFile", acme.caFile, () => certificateIn(acme.caFile)),
    ...secret("acme.eabKeyFile", acme.eabKeyFile, () => acmeFiles({ ...acme, caFile: "" })),
  ];
}

function filesOfBackup({
  backup: given,
  folder,
}: Pick<HubSettings, "backup" | "folder">): readonly NamedFile[] {
  if (given.target === "") return [];
  const backup = completeBackupSettings(given, folder);
  const { credentialsFile, caFile, recoveryKey, drillKeyFile } = backup;
  const s3 = given.target.startsWith("s3://");
  return [
    ...(s3 ? one("backup.caFile", caFile, () => certificateIn(caFile)) : []),
    ...(s3
      ? secret("backup.credentialsFile", credentialsFile, () => targetOf({ ...backup, caFile: "" }))
      : []),
    // Without a name it is the one that "postern backup key" makes.
    ...(given.recoveryKey === ""
      ? []
      : one("backup.recoveryKey", recoveryKey, () => recoveryPublicKeyIn(recoveryKey))),
    ...secret("backup.drillKeyFile", drillKeyFile, () => recoveryPrivateKeyIn(drillKeyFile)),
  ];
}

function one(key: string, file: string, read: () => unknown): readonly NamedFile[] {
  return file === "" ? [] : [{ key, files: [file], isSecret: false, read }];
}

function secret(key: string, file: string, read: () => unknown): readonly NamedFile[] {
  return one(key, file, read).map((named) => ({ ...named, isSecret: true }));
}

/** A file without one would be found out at the first connection only. */
function certificateIn(file: string): void {
  let pem: string;
  try {
    pem = readFileSync(file, "utf8");
  } catch (cause) {
    throw new Misconfigured(`${file} cannot be read`, { cause });
  }
  try {
    void new X509Certificate(pem);
  } catch (cause) {
    throw new Misconfigured(`${file} holds no certificate in PEM`, { cause });
  }
}
