/** Checks that both families of connectors share; each fault names its key as "FAMILY.NAME.KEY". */

import { createSecureContext } from "node:tls";
import { Misconfigured } from "#base/errors";
import type { TlsVersion } from "#model/tls-policy";

/** Makes the fault of one key. */
export type Fault = (key: string, why: string) => Misconfigured;

/** @throws Misconfigured when the name is none; it appears in traces, measures and commands */
export function faultsOf(family: "outbound" | "inbound", name: string): Fault {
  if (!/^[a-z][a-z0-9-]{0,31}$/.test(name)) {
    throw new Misconfigured(`${family}.${name}: a name is small letters, digits and "-"`);
  }
  return (key, why) => new Misconfigured(`${family}.${name}.${key} ${why}`);
}

/** Holds every item of a list against its reader. */
export function each<Value>(
  items: readonly string[],
  read: (text: string) => Value | undefined,
  fault: (text: string) => Misconfigured,
): readonly Value[] {
  return items.map((text) => {
    const value = read(text);
    if (value === undefined) throw fault(text);
    return value;
  });
}

/** What both families say of the oldest version and the groups. */
export function tlsFloor(
  given: { readonly tlsMinVersion: string; readonly tlsGroups: readonly string[] },
  fault: Fault,
): { readonly minVersion: TlsVersion; readonly groups?: readonly string[] } {
  const { tlsMinVersion, tlsGroups } = given;
  for (const group of tlsGroups) {
    if (!isGroup(group)) throw fault("tlsGroups", `holds "${group}", which OpenSSL does not know`);
  }
  return {
    minVersion: tlsMinVersion === "1.3" ? "TLSv1.3" : "TLSv1.2",
    ...(tlsGroups.length > 0 && { groups: tlsGroups }),
  };
}

function isGroup(group: string): boolean {
  if (!/^[A-Za-z0-9_-]{1,40}$/.test(group)) return false; // ":" would bring several
  try {
    createSecureContext({ ecdhCurve: group });
    return true;
  } catch {
    return false;
  }
}

/** A login's name and the files with its secrets. */
export function checkLogin(
  given: { readonly user: string; readonly secretFiles: readonly string[] },
  fault: Fault,
): void {
  const { user, secretFiles } = given;
  // A NUL would end the name in PLAIN (RFC 4616 §2).
  if (user.length > 255 || /[\0-\x1f\x7f]/.test(user)) throw fault("user", "is no user name");
  if (secretFiles.length === 0) throw fault("secretFiles", "names no file with the secret");
  if (secretFiles.length > 2)
    throw fault("secretFiles", "holds more than the present and the next");
  if (secretFiles.includes("")) throw fault("secretFiles", "holds an empty name");
}
