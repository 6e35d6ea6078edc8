/** The recursive servers that the machine is set up with (resolv.conf(5)). */

import { readFileSync } from "node:fs";
import { errorCode } from "#base/disk";
import { parseIp } from "#base/ip";
import type { Endpoint } from "#base/net";

/** As the C library does: at most three. */
const maxServers = 3;

/** The local host when the file is absent or names none. */
export function systemServers(path = "/etc/resolv.conf"): readonly Endpoint[] {
  try {
    return parseServers(readFileSync(path, "latin1"));
  } catch (error) {
    if (errorCode(error) === "ENOENT") return parseServers("");
    throw error;
  }
}

export function parseServers(text: string): readonly Endpoint[] {
  const hosts: string[] = [];
  for (const line of text.split("\n")) {
    const [word, host] = line.trim().split(/[ \t]+/, 2);
    // A zone ("fe80::1%eth0") belongs to the system's notation and is kept for it.
    const isServer = word === "nameserver" && parseIp((host ?? "").split("%", 1)[0] ?? "");
    if (isServer && host !== undefined && hosts.length < maxServers) hosts.push(host);
  }
  return (hosts.length > 0 ? hosts : ["127.0.0.1"]).map((host) => ({ host, port: 53 }));
}
